"""Descriptions of functions: made of OpenAPI, and checked by the service (reference, sections 10.1 and 10.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gigachat import models
from gigachat._advice import HALF_A_PAIR
from gigachat._engine.calls import Call
from gigachat._engine.endpoint import Mode, Resource, endpoint
from gigachat._engine.parsing import read_model
from gigachat._validation import refuse_not_json
from gigachat.api.arguments import with_described

if TYPE_CHECKING:
    from gigachat.api.arguments import Function


class Functions(Resource[Mode]):
    """Validation and conversion of the functions that a model may call."""

    @endpoint
    def openapi_function_convert(self, openapi_function: str) -> Call[models.OpenApiFunctions]:
        """Return the functions an OpenAPI document describes (reference, section 10.1).

        Args:
            openapi_function: The document as text, YAML or JSON.
        """
        if not isinstance(openapi_function, str):
            raise TypeError(f"the OpenAPI document must be text, not {type(openapi_function).__name__}")
        if not openapi_function.strip():
            raise ValueError("the OpenAPI document is empty")
        try:
            content = openapi_function.encode()
        except UnicodeEncodeError:
            raise ValueError(HALF_A_PAIR) from None
        read = read_model(models.OpenApiFunctions)
        return Call("POST", "/functions/convert", read, content=content, repeatable=True)

    @endpoint
    def validate_function(self, function: Function) -> Call[models.FunctionValidationResult]:
        """Check a function's description (reference, section 10.2).

        Args:
            function: The description; a mapping is sent as it is, so that the service sees what is wrong with it. Or a
                Python function or `Tool`.

        Returns:
            The verdict: `valid`, `errors`, and if there are none, `warnings`.
        """
        function = with_described({"functions": [function]}, "functions")["functions"][0]
        if not isinstance(function, Mapping | models.Function):
            raise TypeError(f"a function is a Function or a mapping of its fields, not {type(function).__name__}")
        refuse_not_json(function, "function")
        read = read_model(models.FunctionValidationResult)
        return Call("POST", "/functions/validate", read, json=function, repeatable=True)
