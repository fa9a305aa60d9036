"""A bot that draws: descriptions of pictures in, one a line, files out.

python picture_bot.py FOLDER < descriptions.txt
"""

import asyncio
import sys
from pathlib import Path

from gigachat import AsyncGigaChat, GigaChatException


async def draw(giga: AsyncGigaChat, description: str, path: Path) -> str:
    """Draw a picture, save it, and return what to tell the user."""
    try:
        completion = await giga.chat.create(f"Нарисуй: {description}", tools=["image_generate"])
        for image in completion.images:
            await image.asave(path)
            return f"{path.name}: {completion.text}"
    except GigaChatException as error:
        return f"ошибка, попробуйте ещё раз: {error}"
    return f"картинки нет: {completion.text}"


async def main(folder: str) -> None:
    async with AsyncGigaChat(max_concurrency=1) as giga:
        number = 0
        while description := (await asyncio.to_thread(sys.stdin.readline)).strip():
            number += 1
            print(await draw(giga, description, Path(folder) / f"{number}.jpg"), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
