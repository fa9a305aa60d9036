"""Answer a question from the texts of a folder: python rag_folder.py FOLDER QUESTION."""

import sys
from pathlib import Path

import numpy as np

from gigachat import GigaChat

BEST = 3
PROMPT = "Ответь на вопрос по отрывкам. Если ответа в них нет, так и скажи.\n\n{passages}\n\nВопрос: {question}"


def passages_of(folder: Path) -> list[str]:
    """Return the paragraphs of the folder's texts, each with the name of its file and short enough for the model."""
    return [
        f"{path.name}: {paragraph.strip()[:1200]}"
        for path in sorted([*folder.rglob("*.txt"), *folder.rglob("*.md")])
        for paragraph in path.read_text("utf-8").split("\n\n")
        if paragraph.strip()
    ]


def main(folder: str, question: str) -> None:
    passages = passages_of(Path(folder))
    with GigaChat() as giga:
        vectors = giga.embed(passages, progress=lambda done, total: print(f"{done} of {total}", file=sys.stderr))
        query = giga.embed(question)[0]
        cosines = vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
        best = [passages[index] for index in np.argsort(-cosines)[:BEST]]
        completion = giga.chat(PROMPT.format(passages="\n\n".join(best), question=question))
    print(completion.choices[0].message.content)


if __name__ == "__main__":
    main(*sys.argv[1:])
