"""Authorization: ways of signing in, and the tokens that clients of a process share."""
