"""What is printed, and what `make bench-record` writes into docs/performance: tables and picture, between two marks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import tables
from benchmarks.picture import picture
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from benchmarks.results import Results

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("performance.md", "performance.ru.md")
PICTURES = ("pictures/speed/speed.svg", "pictures/speed/speed.ru.svg")
BEGIN, END = "<!-- measured by make bench-record -->", "<!-- end of what is measured -->"

_INTRODUCTION = (
    "Measured on {date}: {python}, {cores} cores ({machine}), {server}, load {load} at the start, {rounds}. "
    "{releases}. A cell is the median ± half the distance between the quartiles.",
    "Измерено {date}: {python}, ядер: {cores} ({machine}), {server}, загрузка в начале {load}, {rounds}. {releases}. "
    "В ячейке медиана ± половина расстояния между квартилями.",
)
_PICTURE = (
    "![CPU time of this client, of 0.2.3 and of openai]({path})",
    "![Процессорное время этого клиента, 0.2.3 и openai]({path})",
)
_TARGETS = (
    "Targets are ratios within one run and hold on an idle machine. {met} of {all} are met. A bare library is the same "
    "request by the HTTP library and `json` alone: what remains above it is what the client adds.",
    "Цели — это отношения внутри одного запуска, они верны для незанятой машины. Достигнуто {met} из {all}. Голая "
    "библиотека — тот же запрос одной HTTP-библиотекой и `json`: остальное добавляет клиент.",
)
_TIMES = (
    "CPU time of one operation, or of one event of a stream:",
    "Процессорное время одной операции или одного события потока:",
)
_MEMORY = (
    "Memory. Of 1,000 vectors this client keeps an array (`embed`), 0.2.3 lists (`embeddings`):",
    "Память. Для 1000 векторов этот клиент хранит массив (`embed`), 0.2.3 — списки (`embeddings`):",
)


def show(results: Results) -> None:
    """Print the tables in English."""
    print()
    print("\n".join(_lines(results, tables.EN, with_picture=False)))


def record(results: Results) -> None:
    """Write tables and picture into the pages of both languages."""
    for language, (page, path) in enumerate(zip(PAGES, PICTURES, strict=True)):
        target = DOCS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(picture(results, language), "utf-8")
        (DOCS / page).write_text(
            replaced((DOCS / page).read_text("utf-8"), _lines(results, language, with_picture=True)), "utf-8"
        )
    print(f"\nWritten: {', '.join(f'docs/{name}' for name in (*PAGES, *PICTURES))}")


def replaced(text: str, lines: list[str]) -> str:
    """Return a page's text with other lines between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the page lacks the marks {BEGIN} and {END}")
    return "\n".join([before + BEGIN, "", *lines, "", END + after])


def _lines(results: Results, language: int, *, with_picture: bool) -> list[str]:
    spreads = [(target, results.reached(target)) for target in TARGETS]
    met = sum(reached is not None and reached.median <= target.limit for target, reached in spreads)
    lines = [_introduction(results, language), ""]
    if with_picture:
        lines += [_PICTURE[language].format(path=PICTURES[language]), ""]
    lines += [_TARGETS[language].format(met=met, all=len(TARGETS)), "", *tables.targets(results, language)]
    for title, rows in (
        (_TIMES, tables.times(results, language)),
        (_MEMORY, tables.memory(results, language)),
    ):
        if rows:
            lines += ["", title[language], "", *rows]
    figures = results.about.get("local-server")
    if figures:
        lines += ["", *tables.local_server(figures, language)]
    return lines


def _introduction(results: Results, language: int) -> str:
    about = {"date": "", "python": "", "cores": "", "machine": "", "server": "", "load": "", **results.about}
    rounds = results.rounds
    seen: dict[str, str] = {}
    for versions in about.get("versions", {}).values():
        seen |= versions
    seen.pop("gigachat", None)  # two releases, which the columns name
    return _INTRODUCTION[language].format(
        **{key: about[key] for key in ("date", "python", "cores", "machine", "server", "load")},
        rounds=(f"rounds: {rounds}", f"раундов: {rounds}")[language],
        releases=", ".join(f"{package} {version}" for package, version in sorted(seen.items())),
    )
