"""Tools: functions that a model can call, with their descriptions for the model and options for runs."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeAlias,
    TypeGuard,
    TypeVar,
    overload,
)

from pydantic import BaseModel

from gigachat import models
from gigachat._service import FUNCTION_NAME
from gigachat.exceptions import ToolArgumentsError
from gigachat.tools.runs import ToolCall
from gigachat.tools.signatures import Signature, ValidArguments, core

if TYPE_CHECKING:
    from types import FrameType

    from gigachat.tools.context import ToolContext

P = ParamSpec("P")
R = TypeVar("R")
P2 = ParamSpec("P2")
R2 = TypeVar("R2")
S = TypeVar("S")

Approval: TypeAlias = Callable[[ToolCall], bool | str | Awaitable[bool | str]]
"""Decides whether a call may run: returns True, False, or a sentence for the model."""
OnError: TypeAlias = Literal["tell", "raise"]


class Tool(Generic[P, R]):
    """A function that a model can call (reference, section 4.4). It is made by `tool`.

    Calling it calls the function. As an attribute of a class it is a method.

    Args:
        function: The function, method, partial or callable object.
        name: Its name for the model.
        description: What it does, for the model.
        parameters: A type or schema that describes the parameters.
        examples: Examples of its use.
        approve: Whether a run asks before it calls the tool, or a function that decides; None if the run decides.
        timeout: Seconds that a call may take in a run.
        on_error: Whether a run tells the model of an error, or raises it; None if the run decides.
        names: Names that annotations which are text may use, besides those of the function's module.

    Attributes:
        name: Its name for the model.
        description: What it does, for the model; empty if nothing is known.
        parameters: JSON Schema of its arguments.
        examples: Examples of its use: `request` and `params`.
        approve: Whether a run asks before it calls the tool, or a function that decides; None if the run decides.
        timeout: Seconds that a call may take in a run; None for no limit.
        on_error: Whether a run tells the model of an error, or raises it; None if the run decides.
        is_async: Whether the function is a coroutine function.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: type | Mapping[str, Any] | None = None,
        examples: Sequence[Mapping[str, Any]] = (),
        approve: bool | Approval | None = None,
        timeout: float | None = None,
        on_error: OnError | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> None:
        inner = core(function)
        _check_function(function, inner)
        if not (description is None or isinstance(description, str)):
            raise TypeError(f"tool {_name_of(function, name)}: description= must be text")
        functools.update_wrapper(self, function, updated=("__dict__",) if inspect.isroutine(function) else ())
        self.__doc__ = inner.__doc__
        self.name = _name_of(function, name)
        self._function: Any = function
        self._described: models.Function | None = None
        self._options: dict[str, Any] = {
            "name": name,
            "description": description,
            "parameters": parameters,
            "examples": examples,
            "approve": approve,
            "timeout": timeout,
            "on_error": on_error,
        }
        self._unbound: bool = _is_method(function)
        self._signature = Signature(self.name, function, method=self._unbound, parameters=parameters, names=names)
        self.description = self._signature.description if description is None else description
        self.parameters = self._signature.schema
        self.examples = self._checked_examples(examples)
        self.approve = approve
        self.timeout = timeout
        self.on_error = on_error
        self._check_options()
        self.is_async = inspect.iscoroutinefunction(inner)
        if self.is_async:  # `inspect` takes what has these attributes for a coroutine function
            for attribute in ("__name__", "__code__", "__defaults__", "__kwdefaults__", "__annotations__"):
                setattr(self, attribute, getattr(inner, attribute))

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        result: R = self._function(*args, **kwargs)
        return result

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self: Tool[Concatenate[S, P2], R2], instance: S, owner: type[Any] | None = None) -> Tool[P2, R2]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the tool of an instance of the class that it is a method of."""
        bind = getattr(self._function, "__get__", None)
        if bind is None or isinstance(self._function, functools.partial | staticmethod):
            return self
        if instance is None and not isinstance(self._function, classmethod):
            return self
        return self._bound(bind(instance, owner))

    def _bound(self, function: Any) -> Tool[..., Any]:
        if not self._unbound:  # a method whose first parameter has another name is known only now
            return Tool(function, **self._options)
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__, _function=function, __wrapped__=function, _unbound=False)
        return bound

    def _checked_examples(self, examples: Sequence[Any]) -> list[dict[str, Any]]:
        checked: list[dict[str, Any]] = []
        for index, example in enumerate(examples):
            if not isinstance(example, Mapping) or example.keys() != {"request", "params"}:
                raise ValueError(f"tool {self.name}: examples[{index}] must have the keys 'request' and 'params'")
            try:
                self._signature.validated(example["params"])
            except ToolArgumentsError as error:
                raise ValueError(f"tool {self.name}: examples[{index}]: {error}") from None
            checked.append(dict(example))
        return checked

    def _check_options(self) -> None:
        if not (self.approve is None or isinstance(self.approve, bool) or callable(self.approve)):
            raise ValueError(f"tool {self.name}: approve= is True, False or a function")
        if self.timeout is not None and not (_is_number(self.timeout) and self.timeout > 0):
            raise ValueError(f"tool {self.name}: timeout= is a positive number of seconds")
        if self.on_error not in (None, "tell", "raise"):
            raise ValueError(f"tool {self.name}: on_error= is 'tell' or 'raise'")

    def function(self) -> models.Function:
        """Return the description of the tool for chats v1 (reference, section 4.4)."""
        if self._described is None:
            self._described = models.Function(**self._fields())
        return self._described

    def specification(self) -> models.ChatFunctionSpecification:
        """Return the description of the tool for chats v2 (reference, section 5.4)."""
        return models.ChatFunctionSpecification(**self._fields())

    def _fields(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description or None,
            "parameters": self.parameters,
            "few_shot_examples": self.examples or None,
        }

    def bind(self, arguments: Any, context: ToolContext[Any] | None = None) -> Callable[[], Any]:
        """Return the call of the function with the arguments of a model.

        Args:
            arguments: An object, its JSON text, or None for no arguments.
            context: Value of the parameters annotated with `ToolContext`; not needed without them.

        Returns:
            A function without parameters. If `is_async`, its result must be awaited.

        Raises:
            ToolArgumentsError: The arguments do not fit. The text names each wrong one.
        """
        return self.bind_valid(self.validated(arguments), context)

    def validated(self, arguments: Any) -> ValidArguments:
        """Return the arguments of a model if they are valid; see `bind`."""
        self.refuse_unbound()
        return self._signature.validated(arguments)

    def bind_valid(self, arguments: ValidArguments, context: ToolContext[Any] | None) -> Callable[[], Any]:
        """Return the call of the function with valid arguments; see `bind`."""
        by_place, by_name = self._signature.placed(arguments, context)
        return functools.partial(self._function, *by_place, **by_name)

    def as_json(self, arguments: ValidArguments) -> dict[str, Any]:
        """Return valid arguments as plain JSON, under the names that the model gave."""
        return self._signature.as_json(arguments)

    def refuse_unbound(self) -> None:
        """Refuse a method without an instance.

        Raises:
            TypeError: It is one.
        """
        if self._unbound:
            raise TypeError(f"tool {self.name} is a method: give the tool of an instance, {self.__qualname__} has none")

    def __reduce__(self) -> str | tuple[Any, ...]:
        name = getattr(self, "__qualname__", "")  # neither an object nor a partial has one
        found: Any = sys.modules.get(self.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (_restored, (self._function, self._options))

    def __repr__(self) -> str:
        return f"<Tool {self.name!r}>"


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: type | Mapping[str, Any] | None = None,
    examples: Sequence[Mapping[str, Any]] = (),
    approve: bool | Approval | None = None,
    timeout: float | None = None,
    on_error: OnError | None = None,
) -> Tool[P, R]: ...
@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: type | Mapping[str, Any] | None = None,
    examples: Sequence[Mapping[str, Any]] = (),
    approve: bool | Approval | None = None,
    timeout: float | None = None,
    on_error: OnError | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: type | Mapping[str, Any] | None = None,
    examples: Sequence[Mapping[str, Any]] = (),
    approve: bool | Approval | None = None,
    timeout: float | None = None,
    on_error: OnError | None = None,
) -> Any:
    """Make a tool of a function: one that a model can call (reference, section 4.4).

    The schema is made of the signature. `Annotated`, `Field`, defaults, pydantic models, dataclasses, TypedDict,
    Literal, enums and unions are read. Description and texts of the parameters come from the docstring, in the style
    of Google, NumPy or Sphinx. A parameter annotated with `ToolContext` is not in the schema.

    Args:
        function: A function, coroutine function, method, partial or callable object.
        name: Its name for the model, if not that of the function.
        description: What it does, for the model, if not what the docstring says.
        parameters: A JSON Schema that is sent instead; or a pydantic model, dataclass or TypedDict whose fields are
            the arguments, and which checks them.
        examples: Examples of its use: mappings with `request`, what the user says, and `params`, the arguments.
        approve: True if calls need the approval of the run, False if they need none; or a function that approves
            them. If not given, a run asks if it has `approve`.
        timeout: Seconds that a call may take in a run.
        on_error: Whether a run tells the model of an error of the tool (`"tell"`), or raises it (`"raise"`). If not
            given, the run decides.

    Returns:
        The tool, which can be called as the function; without a function, a decorator.

    Raises:
        TypeError: It is not a function, or a parameter has a type that JSON cannot hold.
        ValueError: The name, an example or an option is invalid.
    """
    made = functools.partial(
        Tool,
        name=name,
        description=description,
        parameters=parameters,
        examples=examples,
        approve=approve,
        timeout=timeout,
        on_error=on_error,
    )
    if function is not None:
        return made(function, names=_names_around(inspect.currentframe()))

    def decorated(function: Any) -> Tool[..., Any]:
        return made(function, names=_names_around(inspect.currentframe()))

    return decorated


def as_tool(value: Tool[..., Any] | Callable[..., Any]) -> Tool[..., Any]:
    """Return a tool as it is, a function as a tool.

    Raises:
        TypeError, ValueError: No tool can be made of it.
    """
    if isinstance(value, Tool):
        return value
    inner = getattr(value, "__func__", None)
    if isinstance(inner, Tool):  # a class method of it
        bound: Tool[..., Any] = inner.__get__(value.__self__)  # type: ignore[attr-defined]
        return bound
    return Tool(value)


def is_callable_tool(value: Any) -> TypeGuard[Tool[..., Any] | Callable[..., Any]]:
    """Whether `as_tool` takes a value: a tool or a function, but no class, mapping or model."""
    return callable(value) and not (inspect.isclass(value) or isinstance(value, Mapping | BaseModel))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _restored(function: Any, options: dict[str, Any]) -> Tool[..., Any]:
    # Of a method of a tool, pickle has made the tool itself.
    return function if isinstance(function, Tool) else Tool(function, **options)


def _check_function(function: Any, inner: Any) -> None:
    """Refuse what is not a function that returns one result.

    Raises:
        TypeError: It is something else.
    """
    if inspect.isclass(function):
        raise TypeError(f"a tool is a function: {function.__name__} is a class")
    if not (callable(function) or isinstance(function, classmethod)):
        raise TypeError(f"a tool is a function, not {type(function).__name__}")
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"{inner.__qualname__} is a generator function: a tool returns one result, such as a list")


def _name_of(function: Any, name: str | None) -> str:
    """Return the name for the model.

    Raises:
        ValueError: The service would refuse it.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if name is None:
        name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(name, str) or not re.fullmatch(FUNCTION_NAME, name):
        raise ValueError(
            f"{name!r} cannot be the name of a tool: give name= of Latin letters, digits (not first), '_', '-' and '.'"
        )
    return name


def _is_method(function: Any) -> bool:
    """Whether a function is defined in a class and not bound to an instance."""
    if isinstance(function, classmethod):
        return True
    if not inspect.isfunction(function):
        return False
    outside = function.__qualname__.rpartition(".")[0]
    first = next(iter(inspect.signature(function).parameters), None)
    return outside != "" and not outside.endswith("<locals>") and first in ("self", "cls")


def _names_around(frame: FrameType | None) -> dict[str, Any]:
    """Return the local names where a decorator is used: of the class body, and of the function around it."""
    frame = frame.f_back if frame is not None else None
    scopes: list[Mapping[str, Any]] = []
    while frame is not None and frame.f_locals is not frame.f_globals:
        scopes.append(frame.f_locals)
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a function: what called it is elsewhere
            break
        frame = frame.f_back
    return {name: value for scope in reversed(scopes) for name, value in scope.items()}
