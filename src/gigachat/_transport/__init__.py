"""Transports: implementations of the engine's port over an HTTP library. Only the client names them."""
