"""Turn voice notes into texts and a list of things to do: python voice_note.py note.ogg note.wav."""

import sys

from gigachat import GigaChat

TASKS = "Выпиши из заметок дела, по одному в строке:\n\n{notes}"


def main(*paths: str) -> None:
    notes = []
    with GigaChat() as giga:
        for path in paths:
            try:
                text = giga.transcribe(path).text
            except ValueError as error:  # not a recording, or too large; nothing was sent
                print(error, file=sys.stderr)
                continue
            print(f"{path}: {text}")
            notes.append(text)
        if notes:
            print(giga.chat(TASKS.format(notes="\n\n".join(notes))).text)


if __name__ == "__main__":
    main(*sys.argv[1:])
