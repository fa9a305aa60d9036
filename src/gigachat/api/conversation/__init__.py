"""Conversations: chats with a common history, cut to the window of the model (reference, section 14)."""
