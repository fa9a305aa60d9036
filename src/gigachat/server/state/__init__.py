"""The state of a server: the account, tokens, records and received requests."""
