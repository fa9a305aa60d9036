"""Base of the responses of all transports: the body is decoded and bounded while it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from gigachat._engine.transport import Failure, Stage
from gigachat._transport.decoding import decoder_for
from gigachat.exceptions import APIConnectionError, APIResponseValidationError

if TYPE_CHECKING:
    from gigachat._transport.decoding import Decoder


class BodyReader(ABC):
    """A response whose body has not been read."""

    __slots__ = ("_decoder", "_encoded", "headers", "status_code")

    def __init__(self, status_code: int, headers: dict[str, str], *, encoded: bool = True) -> None:
        self.status_code = status_code
        self.headers = headers
        self._encoded = encoded and "content-encoding" in headers
        self._decoder: Decoder | None = None

    @abstractmethod
    async def receive(self) -> bytes:
        """Return the next piece of the decoded body, empty at its end."""

    @abstractmethod
    async def _next_piece(self) -> bytes:
        """Return the next piece of the body as it came, empty at its end; raises Failure."""

    @abstractmethod
    async def _end(self) -> None:
        """Release the connection after the whole body."""

    @abstractmethod
    async def close(self) -> None:
        """Release the connection at once."""

    async def read(self, limit: int, option: str = "max_response_bytes=") -> bytes:
        """Return the whole decoded body and release the connection."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.receive():
            size += len(piece)
            if size > limit:
                await self.close()
                raise APIResponseValidationError(f"the response is longer than {option}{limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def _decoded(self) -> bytes:
        """Return the next piece of a body with a content encoding, decoded."""
        try:
            if self._decoder is None:
                self._decoder = decoder_for(self.headers["content-encoding"])
                if self._decoder is None:
                    self._encoded = False
                    return await self.receive()
            while not (decoded := self._decoder.take()):
                piece = await self._next_piece()
                if not piece and not self._decoder.is_complete():
                    await self.close()
                    error = APIConnectionError("the compressed response ended prematurely")
                    raise Failure(Stage.READING, error)
                if not piece:
                    await self._end()
                    return b""
                self._decoder.feed(piece)
        except APIResponseValidationError:
            await self.close()
            raise
        return decoded
