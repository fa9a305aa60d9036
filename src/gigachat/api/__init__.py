"""Every endpoint of the API, once: methods that describe calls. No I/O happens here."""
