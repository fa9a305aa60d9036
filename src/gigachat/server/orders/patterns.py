"""Regular expressions of script files. They match in linear time, so that none can block the server."""

from __future__ import annotations

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

_LONGEST = 10_000


class Pattern:
    """A regular expression for pydantic's engine, which has neither look-around nor back-references.

    Args:
        text: The expression, of at most 10 000 characters.

    Raises:
        ValueError: It is too long, or the engine does not take it.
    """

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise ValueError(f"not a regular expression of at most {_LONGEST} characters")
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex"))
        except (SchemaError, UnicodeEncodeError) as error:
            raise ValueError(f"not a regular expression: {str(error).rpartition('error: ')[2]}") from None

    def found_in(self, text: str) -> bool:
        """Return whether the expression matches anywhere in a text."""
        try:
            self._validator.validate_python(text.encode("utf-8", "replace").decode())  # a lone surrogate is no text
        except ValidationError:
            return False
        return True
