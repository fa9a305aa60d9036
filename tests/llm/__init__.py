"""Checks with a real model, small as it is: SmolLM2-135M-Instruct, from a package of the registry."""
