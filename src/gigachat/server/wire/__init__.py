"""The service's wire format: request bodies, responses, errors and messages.

Everything that both versions of the API write or read the same way is here.
"""
