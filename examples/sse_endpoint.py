"""A web service that streams answers to browsers as server-sent events: uvicorn sse_endpoint:app.

In the browser: new EventSource("/chat?question=Привет").onmessage = event => show(JSON.parse(event.data))
"""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from gigachat import AsyncGigaChat, GigaChatException


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncGigaChat(max_concurrency=4) as giga:
        app.state.giga = giga
        yield


app = FastAPI(lifespan=lifespan)


async def events(giga: AsyncGigaChat, question: str) -> AsyncIterator[str]:
    try:
        async with giga.stream(question) as stream:
            async for text in stream.text_stream:
                yield f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n"
    except GigaChatException as error:
        logging.warning("stream failed: %s", error)
        yield "event: failure\ndata: {}\n\n"


@app.get("/chat")
async def chat(request: Request, question: str) -> StreamingResponse:
    return StreamingResponse(events(request.app.state.giga, question), media_type="text/event-stream")
