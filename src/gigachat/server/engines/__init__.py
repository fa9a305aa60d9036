"""The engines, which make the answers: an echo, rules of a script, a local model or another model server."""
