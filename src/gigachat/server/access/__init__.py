"""Access to the server: sign-in, the token check, rate limits and certificates."""
