"""Conversations: chats that remember what was said, in the window of the model (reference, section 14)."""
