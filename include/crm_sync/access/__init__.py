"""How we get in: log-in, the metered transport, what replies mean."""
