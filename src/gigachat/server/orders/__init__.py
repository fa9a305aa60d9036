"""Replies, faults and literal streams that tests order in advance, and their matching with requests."""
