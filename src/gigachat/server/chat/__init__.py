"""Chat completions of API v1 and v2: validation, stored history, usage and the response shapes."""
