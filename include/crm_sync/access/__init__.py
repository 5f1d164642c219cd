"""How we get into a CRM: the login, the one metered transport, and what its replies mean."""
