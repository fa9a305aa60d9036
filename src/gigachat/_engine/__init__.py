"""The engine sends calls. It is async code over the protocol in `transport`, which both modes implement.

Code about one endpoint or one HTTP library does not belong here.
"""
