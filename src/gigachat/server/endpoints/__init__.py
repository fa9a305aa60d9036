"""The other endpoints, one module for each noun of the API reference.

Each module ends with a table `ENDPOINTS` of method, path and function, which `app` turns into routes.
"""
