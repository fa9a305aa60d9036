"""Runs: chats in which the model calls tools until it answers (reference, sections 4.4 and 5.5)."""
