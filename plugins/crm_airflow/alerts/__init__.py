"""How an alert leaves: one notifier a kind of target."""
