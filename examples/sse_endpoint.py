"""A web service that streams answers to browsers, as docs/streaming.md explains: uvicorn sse_endpoint:app."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from gigachat import AsyncGigaChat, GigaChatException

SEND_TIMEOUT = 30.0  # seconds that a browser may read nothing


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, AsyncGigaChat]]:
    async with AsyncGigaChat() as giga:
        yield {"giga": giga}


app = FastAPI(lifespan=lifespan)


async def events(giga: AsyncGigaChat, question: str) -> AsyncIterator[JSONServerSentEvent]:
    try:
        async with giga.stream(question) as stream:
            async for text in stream.text_stream:
                yield JSONServerSentEvent({"text": text}, event="text")
        yield JSONServerSentEvent({}, event="end")  # a browser closes its EventSource, or it would ask again
    except GigaChatException as error:
        logging.warning("stream failed: %s", error)
        yield JSONServerSentEvent({}, event="failure")


@app.get("/chat")
async def chat(request: Request, question: str) -> EventSourceResponse:
    return EventSourceResponse(events(request.state.giga, question), send_timeout=SEND_TIMEOUT)
