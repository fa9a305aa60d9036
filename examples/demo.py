"""The main calls of the SDK in half a minute, with the local GigaChat server over real OAuth and TLS.

The clients have no arguments. They read the addresses and the key from the environment, as with the real service.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import datetime

from gigachat import AsyncGigaChat, GigaChat, Messages, MessagesRole
from gigachat.server import GigaChatServer

WEATHER = {
    "name": "weather",
    "description": "Current weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def blocking() -> None:
    with GigaChat() as giga:
        title("Sign-in: an OAuth token")
        token = giga.get_token()
        assert token is not None
        expires = datetime.fromtimestamp(token.expires_at / 1000)
        print(f"token of {len(token.access_token)} characters, valid until {expires:%H:%M:%S}")

        title("A chat")
        completion = giga.chat("Какие факторы влияют на стоимость страховки на дом?")
        print(completion.text)
        print(f"[{completion.model}, {completion.usage.total_tokens} tokens]")

        title("A stream")
        for text in giga.stream("Расскажи о себе в трёх предложениях").text_stream:
            print(text, end="", flush=True)
        print()

        title("A function call")
        question = Messages(role=MessagesRole.USER, content="Какая погода в городе Псков?")
        message = giga.chat([question], functions=[WEATHER], function_call="auto").choices[0].message
        call = message.function_call
        assert call is not None
        print(f"the model calls {call.name}({json.dumps(call.arguments, ensure_ascii=False)})")
        result = Messages(role=MessagesRole.FUNCTION, name=call.name, content=json.dumps({"temperature": -3}))
        answer = giga.chat([question, message, result], functions=[WEATHER], function_call="auto")
        print(answer.text)

        title("Embeddings")
        for item in giga.embeddings(["Привет, мир!", "Hello, world!"]).data:
            print(f"text {item.index}: {len(item.embedding)} numbers, the first are {item.embedding[:3]}")


async def asynchronous() -> None:
    title("Async: three chats at once, then a stream")
    async with AsyncGigaChat() as giga:
        begun = time.perf_counter()
        answers = await asyncio.gather(*(giga.chat(f"Вопрос {number}") for number in (1, 2, 3)))
        print(f"{len(answers)} responses in {time.perf_counter() - begun:.2f} s")
        async for text in giga.stream("И ещё один ответ потоком").text_stream:
            print(text, end="", flush=True)
        print()


def main() -> None:
    with GigaChatServer(pace=0.06) as server:
        title(f"The local GigaChat server is running at {server.origin}")
        os.environ.update(server.environment)
        blocking()
        asyncio.run(asynchronous())
        sign_ins = len(server.requests_to("oauth"))
        calls = len(server.requests) - sign_ins
        title(f"Two clients made {calls} requests with {sign_ins} sign-in, because they share the token.")


if __name__ == "__main__":
    main()
