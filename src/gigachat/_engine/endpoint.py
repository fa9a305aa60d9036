"""An endpoint is a method that describes a call and does no I/O; these descriptors make it callable in both modes.

On `Resource[Blocking]` the method returns the result, on `Resource[Async]` it is a coroutine function. Signature,
docstring and definition are those of the one method.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from gigachat._engine.event_stream import EventStream
from gigachat._engine.items import AsyncItems, Items
from gigachat._engine.requests import context_headers
from gigachat._engine.session import run
from gigachat._engine.stream import AsyncStream, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gigachat._engine.calls import Call, StreamCall
    from gigachat._engine.items import NextItems
    from gigachat._engine.service import Service
    from gigachat._engine.session import Session


class Blocking:
    """Mode in which a method blocks until it has its result."""


class Async:
    """Mode in which a method is awaited."""


Mode = TypeVar("Mode", bound=Blocking | Async, covariant=True)
P = ParamSpec("P")
T = TypeVar("T")
ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")
BlockingT = TypeVar("BlockingT", covariant=True)
AsyncT = TypeVar("AsyncT", covariant=True)


class Resource(Generic[Mode]):
    """A group of endpoints of one client."""

    _service: Service
    _blocking: Session
    _async: Session
    _session: Session
    """The session of the caller's mode, inside procedures."""
    _mode: type[Blocking | Async]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Give a class of a known mode plain functions: `unittest.mock` copies their arguments, and they are faster."""
        super().__init_subclass__(**arguments)
        if "_mode" in cls.__dict__:
            names = {name for part in cls.__mro__ for name, value in vars(part).items() if isinstance(value, _METHODS)}
            for name in names - cls.__dict__.keys():
                setattr(cls, name, getattr(cls, name))


class Namespace(Resource[Mode]):
    """A group of endpoints under a name of its own.

    Args:
        base_client: The client that it is an attribute of.
    """

    _attribute: tuple[Resource[Any], str]
    """Its client, and its name there."""

    def __init__(self, base_client: Resource[Any]) -> None:
        self._service, self._blocking, self._async = base_client._service, base_client._blocking, base_client._async

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as an attribute of its client."""
        return getattr, self._attribute


ResourceT = TypeVar("ResourceT", bound=Resource[Any], contravariant=True)


class ModeMethod(Generic[P, BlockingT, AsyncT]):
    """A method with a blocking and an async form. On a class with a fixed mode it is a plain function."""

    _blocking: Callable[..., Any]
    _async: Callable[..., Any]

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: Any = None) -> Callable[P, BlockingT]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: Any = None) -> Callable[P, AsyncT]: ...
    def __get__(self, resource: Any, owner: Any = None) -> Any:
        """Return the method in the mode of its resource."""
        if resource is not None:
            return MethodType(self._async if resource._mode is Async else self._blocking, resource)
        mode = getattr(owner, "_mode", None)
        return self if mode is None else self._async if mode is Async else self._blocking


class endpoint(ModeMethod[P, T, Coroutine[Any, Any, T]], Generic[ResourceT, P, T]):
    """Make a method that returns a `Call` send it."""

    def __init__(self, describe: Callable[Concatenate[ResourceT, P], Call[T]]) -> None:
        @functools.wraps(describe)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> T:
            session: Session = self._blocking
            return run(session.send(describe(self, *args, **kwargs)))

        @functools.wraps(describe)
        async def awaitable(self: Any, *args: Any, **kwargs: Any) -> T:
            session: Session = self._async
            return await session.send(describe(self, *args, **kwargs))

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = describe.__doc__


class procedure(ModeMethod[P, T, Coroutine[Any, Any, T]], Generic[ResourceT, P, T]):
    """Make an async method that takes more than one call callable in both modes.

    In it, `self._session` is the session of the caller's mode.
    """

    def __init__(self, act: Callable[Concatenate[ResourceT, P], Awaitable[T]]) -> None:
        @functools.wraps(act)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> T:
            async def acting() -> T:
                return await act(_in_session(self, self._blocking), *args, **kwargs)

            return run(acting())

        @functools.wraps(act)
        async def awaitable(self: Any, *args: Any, **kwargs: Any) -> T:
            return await act(_in_session(self, self._async), *args, **kwargs)

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = act.__doc__


def _in_session(resource: Any, session: Session) -> Any:
    view = object.__new__(type(resource))
    view.__dict__.update(resource.__dict__, _session=session)
    return view


class stream_endpoint(
    ModeMethod[P, Stream[ChunkT, CompletionT], AsyncStream[ChunkT, CompletionT]],
    Generic[ResourceT, P, ChunkT, CompletionT],
):
    """Make a method that returns a `StreamCall` return its stream."""

    def __init__(self, describe: Callable[Concatenate[ResourceT, P], StreamCall[ChunkT, CompletionT]]) -> None:
        @functools.wraps(describe)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> Stream[ChunkT, CompletionT]:
            return Stream(EventStream(self._blocking, describe(self, *args, **kwargs), context_headers()))

        @functools.wraps(describe)
        def awaitable(self: Any, *args: Any, **kwargs: Any) -> AsyncStream[ChunkT, CompletionT]:
            return AsyncStream(EventStream(self._async, describe(self, *args, **kwargs), context_headers()))

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = describe.__doc__


class InBothModes(Protocol[BlockingT, AsyncT]):
    """What a method returns at once, in each mode."""

    def blocking(self) -> BlockingT:
        """Return it for blocking callers."""
        ...

    def awaited(self) -> AsyncT:
        """Return it for async callers."""
        ...


class mode_endpoint(ModeMethod[P, BlockingT, AsyncT], Generic[ResourceT, P, BlockingT, AsyncT]):
    """Make a method return an object in the mode of its resource, such as a stream; the method is never awaited."""

    def __init__(self, describe: Callable[Concatenate[ResourceT, P], InBothModes[BlockingT, AsyncT]]) -> None:
        @functools.wraps(describe)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> BlockingT:
            return describe(self, *args, **kwargs).blocking()

        @functools.wraps(describe)
        def awaitable(self: Any, *args: Any, **kwargs: Any) -> AsyncT:
            return describe(self, *args, **kwargs).awaited()

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = describe.__doc__


class iterator_procedure(ModeMethod[P, Iterator[T], AsyncIterator[T]], Generic[ResourceT, P, T]):
    """Make a method that returns `NextItems` return an iterator of the items.

    In it, `self._session` is the session of the caller's mode.
    """

    def __init__(self, begin: Callable[Concatenate[ResourceT, P], NextItems[T]]) -> None:
        @functools.wraps(begin)
        def blocking(self: Any, *args: Any, **kwargs: Any) -> Iterator[T]:
            return Items(begin(_in_session(self, self._blocking), *args, **kwargs))

        @functools.wraps(begin)
        def awaitable(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[T]:
            return AsyncItems(begin(_in_session(self, self._async), *args, **kwargs))

        self._blocking, self._async = blocking, awaitable
        self.__doc__ = begin.__doc__


class namespace(Generic[ResourceT, T]):
    """Make a group of endpoints an attribute, which tests may replace on an object."""

    def __init__(self, make: Callable[[ResourceT], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: Any, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Any, owner: Any = None) -> T: ...
    def __get__(self, resource: Any, owner: Any = None) -> Any:
        """Return the group, in the mode and with the options of its resource."""
        if resource is None:
            return self
        group: Any = self._make(resource)
        group._attribute = resource, self._name
        return group


class _AsyncVariant(Generic[P, T]):
    def __init__(self, method: Callable[..., T]) -> None:
        self._method = method

    def __get__(self, resource: Any, owner: Any = None) -> Callable[P, T]:
        """Return the method, bound to its resource if there is one."""
        return self._method if resource is None else MethodType(self._method, resource)


_METHODS = (ModeMethod, _AsyncVariant)


def async_variant(method: ModeMethod[P, Any, AsyncT]) -> _AsyncVariant[P, AsyncT]:
    """Return the async form of a method, for another name on a client whose own mode is blocking."""
    return _AsyncVariant(method._async)


if TYPE_CHECKING:

    def overloaded_endpoint(describe: Callable[..., Call[Any]]) -> Callable[..., Any]:
        """Like `endpoint`, for a method with overloads."""
        ...

    def overloaded_mode_endpoint(describe: Callable[..., InBothModes[Any, Any]]) -> Callable[..., Any]:
        """Like `mode_endpoint`, for a method with overloads."""
        ...

    def overloaded_procedure(act: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        """Like `procedure`, for a method with overloads."""
        ...

    def overloaded_async_variant(method: Callable[..., Any]) -> Any:
        """Like `async_variant`, for a method with overloads."""
        ...

else:
    overloaded_async_variant = async_variant
    overloaded_endpoint = endpoint
    overloaded_mode_endpoint = mode_endpoint
    overloaded_procedure = procedure
