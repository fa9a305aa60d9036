"""An endpoint is a method that describes a call and does no I/O; these descriptors make it callable in both modes.

On `Resource[Blocking]` the method returns the answer, on `Resource[Async]` it is a coroutine function. Signature,
docstring and definition are those of the one method.
"""

from __future__ import annotations

import functools
import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from gigachat._engine.call import NO_OPTIONS, Call, RequestOptions, StreamCall
from gigachat._engine.io import run
from gigachat._engine.perform import perform
from gigachat._engine.stream import AsyncStream, EventStream, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from gigachat._engine.io import Port
    from gigachat._engine.perform import Engine

__all__ = [
    "NAMESPACE_PREFIX",
    "Async",
    "Blocking",
    "Mode",
    "Resource",
    "awaited",
    "endpoint",
    "namespace",
    "operation",
    "overloaded_endpoint",
    "streaming",
]


class Blocking:
    """Mode in which a method returns when the answer is here."""


class Async:
    """Mode in which a method is awaited."""


Mode = TypeVar("Mode", bound=Blocking | Async, covariant=True)
P = ParamSpec("P")
T = TypeVar("T")
ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")


class Resource(Generic[Mode]):
    """A group of endpoints over one engine."""

    _engine: Engine
    _options: RequestOptions = NO_OPTIONS
    _mode: type[Blocking | Async]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Give a class of a known mode plain functions: `unittest.mock` copies their arguments, and they are faster."""
        super().__init_subclass__(**arguments)
        if "_mode" in cls.__dict__:
            names = {name for part in cls.__mro__ for name, value in vars(part).items() if isinstance(value, _METHODS)}
            for name in names - cls.__dict__.keys():
                setattr(cls, name, getattr(cls, name))


ResourceT = TypeVar("ResourceT", bound=Resource[Any], contravariant=True)


class _TwoFaced:
    """A method in two forms, one a mode. Found on a class of a known mode it is a plain function."""

    _blocking: Callable[..., Any]
    _async: Callable[..., Any]

    def _bind(self, resource: Any, owner: Any) -> Any:
        if resource is not None:
            return MethodType(self._async if resource._mode is Async else self._blocking, resource)
        mode = getattr(owner, "_mode", None)
        return self if mode is None else self._async if mode is Async else self._blocking

    if not TYPE_CHECKING:
        # For those who look at a class of no known mode, as `inspect.signature` does for an object with `__call__`.

        def __call__(self, resource: Any, *args: Any, **kwargs: Any) -> Any:
            return self._bind(resource, None)(*args, **kwargs)

        @property
        def __signature__(self) -> inspect.Signature:
            return inspect.signature(self._blocking)


class _Answering(_TwoFaced, Generic[P, T]):
    """A method that answers: with the answer itself, or with a coroutine of it."""

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Any, owner: Any = None) -> Any:
        """Return the method in the mode of its resource."""
        return self._bind(resource, owner)


class endpoint(_Answering[P, T], Generic[ResourceT, P, T]):
    """Make a method that returns a `Call` perform it."""

    def __init__(self, describe: Callable[Concatenate[ResourceT, P], Call[T]]) -> None:
        @functools.wraps(describe)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> T:
            engine = self._engine
            return run(perform(engine, engine.blocking, describe(self, *args, **kwargs), self._options))

        @functools.wraps(describe)
        async def awaitable(self: Any, *args: Any, **kwargs: Any) -> T:
            engine = self._engine
            return await perform(engine, engine.awaiting, describe(self, *args, **kwargs), self._options)

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = describe.__doc__


class operation(_Answering[P, T], Generic[ResourceT, P, T]):
    """Make an async method that is given the port, for what takes more than one call, callable in both modes."""

    def __init__(self, act: Callable[Concatenate[ResourceT, Port, P], Awaitable[T]]) -> None:
        @functools.wraps(act)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> T:
            async def acting() -> T:
                return await act(self, self._engine.blocking, *args, **kwargs)

            return run(acting())

        @functools.wraps(act)
        async def awaitable(self: Any, *args: Any, **kwargs: Any) -> T:
            return await act(self, self._engine.awaiting, *args, **kwargs)

        # Callers do not see the port.
        signature = inspect.signature(act)
        itself, _, *others = signature.parameters.values()
        forms: tuple[Any, ...] = (blocking, awaitable)
        for form in forms:
            form.__signature__ = signature.replace(parameters=[itself, *others])

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = act.__doc__


class streaming(_TwoFaced, Generic[ResourceT, P, ChunkT, CompletionT]):
    """Make a method that returns a `StreamCall` return its stream."""

    def __init__(self, describe: Callable[Concatenate[ResourceT, P], StreamCall[ChunkT, CompletionT]]) -> None:
        @functools.wraps(describe)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> Stream[ChunkT, CompletionT]:
            engine = self._engine
            return Stream(EventStream(engine, engine.blocking, describe(self, *args, **kwargs), self._options))

        @functools.wraps(describe)
        def awaitable(self: Any, *args: Any, **kwargs: Any) -> AsyncStream[ChunkT, CompletionT]:
            engine = self._engine
            return AsyncStream(EventStream(engine, engine.awaiting, describe(self, *args, **kwargs), self._options))

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: Any = None) -> Callable[P, Stream[ChunkT, CompletionT]]: ...
    @overload
    def __get__(
        self, resource: Resource[Async], owner: Any = None
    ) -> Callable[P, AsyncStream[ChunkT, CompletionT]]: ...
    def __get__(self, resource: Any, owner: Any = None) -> Any:
        """Return the method in the mode of its resource."""
        return self._bind(resource, owner)


class namespace(functools.cached_property[T]):
    """Make a group of endpoints an attribute, made once for each client.

    It is kept under another name than its own, so that it does not hide the method by which a subclass overrides it.
    """

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, name)
        self.attrname = NAMESPACE_PREFIX + name


NAMESPACE_PREFIX = "_namespace_"


if TYPE_CHECKING:

    def overloaded_endpoint(describe: Callable[..., Call[Any]]) -> Callable[..., Any]:
        """Like `endpoint`, for a method whose types stand in overloads because they depend on an argument."""
        ...

else:
    overloaded_endpoint = endpoint


class _Awaited(Generic[P, T]):
    def __init__(self, method: Callable[..., T]) -> None:
        self._method = method

    def __get__(self, resource: Any, owner: Any = None) -> Callable[P, T]:
        """Return the method, bound where there is something to bind it to."""
        return self._method if resource is None else MethodType(self._method, resource)


_METHODS = (_TwoFaced, _Awaited)


@overload
def awaited(
    method: _Answering[P, T],
) -> _Awaited[P, Coroutine[Any, Any, T]]: ...
@overload
def awaited(
    method: streaming[Any, P, ChunkT, CompletionT],
) -> _Awaited[P, AsyncStream[ChunkT, CompletionT]]: ...
def awaited(method: _TwoFaced) -> Any:
    """Return the async form of a method, to stand under another name on a client whose own mode blocks."""
    return _Awaited(method._async)
