"""A bot with a history for each chat, as of a messenger: lines `CHAT TEXT` in, lines `CHAT ANSWER` out.

python chat_bot.py FOLDER < messages.txt
"""

import asyncio
import sys
from pathlib import Path

from gigachat import AsyncGigaChat, GigaChatException

SYSTEM = "Ты вежливый помощник. Отвечай коротко."


async def answer(giga: AsyncGigaChat, folder: Path, chat: str, text: str) -> str:
    """Return the answer to a message of a chat, whose history is a file of the folder."""
    conversation = giga.conversation(system=SYSTEM, storage=folder / f"{chat}.jsonl", compact=True)
    if text == "/undo":
        removed = await conversation.undo()
        return f"забыто сообщений: {len(removed)}"
    try:
        return (await conversation.send(text)).text
    except GigaChatException as error:
        return f"ошибка, попробуйте ещё раз: {error}"


async def main(folder: str) -> None:
    async with AsyncGigaChat(max_concurrency=1) as giga:
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            chat, _, text = line.partition(" ")
            if chat.isalnum() and text:
                print(chat, await answer(giga, Path(folder), chat, text), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
