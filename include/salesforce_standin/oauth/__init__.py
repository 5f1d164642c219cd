"""OAuth: the log-in and consent pages, the grants, and what a token says about itself (facts/salesforce.md 2)."""
