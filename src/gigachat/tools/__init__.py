"""Tools: Python functions that a model can call. Their schemas, the checks of their arguments, and their results."""
