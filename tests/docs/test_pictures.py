"""The committed pictures show what the commands print now, apart from numbers and the name of an authority."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PICTURES = ROOT / "docs" / "pictures"
PROGRAM = ROOT / "examples" / "terminal_pictures.py"


def words(picture: Path) -> list[str]:
    """Return the words of a picture; ports, times, versions and random names are masked."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text("utf-8"))
    shown = html.unescape(" ".join(texts)).replace("\xa0", " ")
    return re.sub(r"#\S+|\d+(\.\d+)*", "#", shown).split()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_the_pictures_are_those_of_the_commands(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(PROGRAM), str(tmp_path)], check=True, timeout=300)
    made = {path.name: words(path) for path in tmp_path.iterdir()}
    assert made == {path.name: words(path) for path in PICTURES.glob("*.svg")}
    assert all(len(shown) > 20 for shown in made.values())


def test_the_pictures_load_nothing_and_have_no_path_of_a_machine() -> None:
    for path in PICTURES.glob("*.svg"):
        text = path.read_text("utf-8")
        assert set(re.findall(r"https?://[^\"')\s]+", text)) <= {
            "http://www.w3.org/2000/svg",
            "https://www.textualize.io",
        }
        assert "@font-face" not in text
        assert not re.search(r"/(home|work|root|Users)/", html.unescape(text))
