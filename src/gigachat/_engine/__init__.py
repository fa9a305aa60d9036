"""The engine: one way from a call to its answer, for blocking and async callers alike.

It is ordinary async code over a small port of the outside world (`io`). It knows no HTTP library and no endpoint.
"""
