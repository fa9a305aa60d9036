"""An extension of griffe for the API reference: endpoints, namespaces and fields as the caller sees them."""

from __future__ import annotations

import ast
from typing import Any

import griffe

_ATTRIBUTES = frozenset({"namespace", "read_only"})
_KINDS = ("endpoint", "procedure", "mode_endpoint")
_ENDPOINTS = frozenset({*_KINDS, *(f"overloaded_{kind}" for kind in _KINDS), "stream_endpoint", "iterator_procedure"})
_STREAMS = {"StreamCall": "Stream", "NextItems": "Iterator"}
_MADE = {"Run": "RunStream", "RunV2": "RunStream", "ThreadStream": "Stream", "ConversationInBothModes": "Conversation"}
"""What the caller gets for an annotation of ours."""


class Descriptors(griffe.Extension):
    """Show namespaces as attributes, results of endpoints instead of their calls, and descriptions of fields."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Rewrite a method with one of our decorators."""
        decorators = {decorator.callable_path.rpartition(".")[2] for decorator in func.decorators}
        if decorators & _ATTRIBUTES and func.parent is not None:
            attribute = griffe.Attribute(func.name, annotation=func.returns, docstring=func.docstring)
            func.parent.set_member(func.name, attribute)
        elif decorators & _ENDPOINTS:
            func.labels.discard("async")
            func.returns = _result(func.returns)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Describe a field of a model by the arguments of `Field`."""
        match attr.value:
            case griffe.ExprCall(function=griffe.ExprName(name="Field"), arguments=arguments):
                given = {one.name: one.value for one in arguments if isinstance(one, griffe.ExprKeyword)}
                attr.value = given.get("default")
                if attr.docstring is None and "description" in given:
                    attr.docstring = griffe.Docstring(ast.literal_eval(str(given["description"])), parent=attr)


def _result(returns: Any) -> Any:
    match returns:
        case griffe.ExprSubscript(left=griffe.ExprName(name="Call"), slice=result):
            return result
        case griffe.ExprSubscript(left=griffe.ExprName(name=name), slice=given) if name in _STREAMS:
            item = given.elements[0] if isinstance(given, griffe.ExprTuple) else given
            return griffe.ExprSubscript(griffe.ExprName(_STREAMS[name], parent=returns.left.parent), item)
        case griffe.ExprSubscript(left=griffe.ExprName(name=name) as kind) if name in _MADE:
            return griffe.ExprName(_MADE[name], parent=kind.parent)
        case griffe.ExprName(name=name) as kind if name in _MADE:
            return griffe.ExprName(_MADE[name], parent=kind.parent)
    return returns
