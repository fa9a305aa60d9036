"""Ask questions about a document, one a line: python document_questions.py report.pdf < questions.txt."""

import sys

from gigachat import GigaChat

SYSTEM = "Отвечай только по документу. Если ответа в нём нет, так и скажи."


def main(path: str) -> None:
    with GigaChat() as giga:
        document = giga.attach(path)
        conversation = giga.conversation(system=SYSTEM)
        files = [document]
        for question in filter(None, map(str.strip, sys.stdin)):
            print(conversation.send(question, files=files).text)
            files = []  # it stays in the history
        print(f"{conversation.usage.total_tokens} tokens")
        giga.delete_file(document.id_)


if __name__ == "__main__":
    main(*sys.argv[1:])
