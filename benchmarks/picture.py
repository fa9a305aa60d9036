"""The picture of the page as SVG: CPU time of some scenarios, as a part of that of 0.2.3.

It loads no font and no file, so that pages can show it anywhere.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from benchmarks.scenarios import PUBLISHED
from benchmarks.tables import NAMES, ROWS

if TYPE_CHECKING:
    from benchmarks.results import Results

SHOWN = (
    "chat",
    "async-1",
    "async-100",
    "stream-v1",
    "dripped-50-v1",
    "embeddings-100",
    "client-per-message",
    "first-answer",
)
COLOURS = {"ours": "#21a038", "fast": "#8bd346", PUBLISHED: "#8a8f98", "openai": "#c9ccd1"}
MOST = 2.0  # longer bars are cut
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 800, 310, 70, 14, 18, 64
TITLES = ("CPU time of the client, 0.2.3 = 1", "Процессорное время клиента, 0.2.3 = 1")


def picture(results: Results, language: int) -> str:
    """Return the picture in a language."""
    titles = {one.name: one.title[language] for one in ROWS}
    parts: list[str] = []
    used: set[str] = set()
    y = TOP
    scale = (WIDTH - LEFT - RIGHT) / MOST
    for scenario in SHOWN:
        bars = [
            (system, found.median)
            for system in COLOURS
            if (found := results.ratio((scenario, system), (scenario, PUBLISHED))) is not None
        ]
        if len(bars) < 2:
            continue
        middle = y + BAR * len(bars) / 2 + 4
        parts.append(_text(LEFT - 10, middle, titles[scenario], "end"))
        for system, value in bars:
            used.add(system)
            length = max(1.0, min(value, MOST) * scale)
            parts.append(
                f'<rect x="{LEFT}" y="{y:.0f}" width="{length:.1f}" height="{BAR - 2}" fill="{COLOURS[system]}"/>'
            )
            parts.append(_text(LEFT + length + 5, y + BAR - 4, f"{value:.2f}", "start", 10))
            y += BAR
        y += GAP
    legend: list[str] = []
    x = float(LEFT)
    for system, colour in COLOURS.items():
        if system in used:
            label = NAMES[system][language].strip("`") if system in NAMES else system
            legend.append(f'<rect x="{x:.0f}" y="36" width="12" height="12" fill="{colour}"/>')
            legend.append(_text(x + 17, 46, label, "start"))
            x += 45 + 7 * len(label)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n'
        + "\n".join([_text(LEFT, 22, TITLES[language], "start", 15), *legend, *parts])
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="#24292f">{escape(text)}</text>'
