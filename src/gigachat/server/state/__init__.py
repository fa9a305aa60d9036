"""What a server remembers: the account, tokens, uploaded records and received requests."""
