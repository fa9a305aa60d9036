"""What notebooks show of results: by IPython's own formatters, and nothing in it can run."""

from __future__ import annotations

import copy
import html
import pickle
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from markdown_it import MarkdownIt

from gigachat import GigaChat, RunResult, models
from gigachat.tools.runs import ToolCall, ToolStep
from tests.unit.world import COMPLETION

HOSTILE = [
    "<script>window.ran = 1</script>",
    "</pre><script>window.ran = 1</script>",
    "</code></pre></div><img src=http://track.example/x onerror='window.ran = 1'>",
    '"><svg onload="window.ran = 1">',
    "![картинка](http://track.example/x.png)",
    "[ссылка](javascript:window.ran=1)",
    "<http://track.example> и http://track.example",
    "[![x](http://track.example/x)](javascript:alert(1))",
    "```\n<script>window.ran = 1</script>\n```",
    "- a\n  - ```\n    <img src=x onerror=alert(1)>\n    ````\n    - `````\n      ![x](http://track.example)",
    "~~~\n```html\n<iframe src='http://track.example'></iframe>\n```\n~~~",
    "`" * 40 + "\n<script>1</script>\n" + "`" * 40,
    "   ```\r\n<img src=x>\r```\u2028```\x0b```\x0c```",
    "$$\\href{javascript:alert(1)}{x}$$ и $\\unicode{x3c}script$",
    "<style>@import 'http://track.example/x.css'</style><base href='http://track.example'>",
    "<!-- -->--><script>1</script><!--",
    "&lt;script&gt;1&lt;/script&gt; &amp;amp;",
    "[x]: javascript:alert(1)\n[x]\n\n| a | b |\n|---|---|\n| ![x](http://track.example) | <b>c</b> |",
    "\0<script>\ud800</script>",
    "<div style='background: url(http://track.example)'><a href='//track.example' download>x</a></div>",
    "\u202e<script>1</script>\u2066",
    "",
    " \n\n ",
    "<" * 100_000,
    "\x1b[31mred\x1b]8;;http://track.example\x07link\x1b]8;;\x07\x9b2J\x7f\u200f\u2067",
]
ALLOWED = {"div", "pre", "table", "thead", "tbody", "tr", "th", "td", "code", "small"}


def completion(text: str) -> models.ChatCompletion:
    call = {"name": text or "f", "arguments": {"a": text}}
    message = {"role": "assistant", "content": text, "function_call": call}
    choice = {"message": message, "index": 0, "finish_reason": text or "stop"}
    return models.ChatCompletion.model_validate({**COMPLETION, "choices": [choice], "model": text})


def completion_v2(text: str) -> models.ChatCompletionResponse:
    call = {"name": text or "f", "arguments": {"a": text}}
    message = {"role": "assistant", "content": [{"text": text}, {"function_call": call}]}
    return models.ChatCompletionResponse.model_validate(
        {"model": text, "messages": [message], "finish_reason": text, "usage": {"total_tokens": 5}}
    )


def run_result(text: str) -> Any:
    step = ToolStep(ToolCall(text, {"a": text}), text, error=ValueError(text) if len(text) % 2 else None)
    return RunResult(completion(text), text, [], [step], "answer", [completion(text)], models.Usage())


def listed(text: str) -> models.Models:
    return models.Models.model_validate({"data": [{"id": text, "type": text, "owned_by": text}]})


def vectors(text: str) -> models.Embeddings:
    return models.Embeddings.model_validate({"model": text, "data": [{"embedding": [0.1, 0.2], "index": 0}]})


def balance(text: str) -> models.Balance:
    return models.Balance.model_validate({"balance": [{"usage": text, "value": 900000}]})


RESULTS = [completion, completion_v2, run_result, listed, vectors, balance]


class Elements(HTMLParser):
    """The elements and the text of an output."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {*attrs}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")


def shown(result: Any) -> tuple[str, str]:
    """Return the HTML and the Markdown that IPython takes of a result."""
    bundle = displayed(result)
    return bundle["text/html"], bundle["text/markdown"]


def displayed(value: Any) -> dict[str, str]:
    """Return the forms in which IPython displays a value."""
    formatter: Any = DisplayFormatter()
    bundle: dict[str, str] = formatter.format(value)[0]
    return bundle


def sendable(text: str) -> str:
    """Return the beginning of a text without characters that control the display."""
    control = [*map(chr, range(32)), "\x7f", *map(chr, range(0x80, 0xA0)), *"\u061c\u200e\u200f\u202a\u202b\u202c"]
    for character in {*control, *"\u202d\u202e\u2066\u2067\u2068\u2069"} - {*"\t\n\r"}:
        text = text.replace(character, "\ufffd")
    return text[:1000].encode("utf-8", "replace").decode()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("make", RESULTS)
def test_nothing_in_a_result_is_markup(make: Any, text: str) -> None:
    as_html, as_markdown = shown(make(text))
    elements = Elements(as_html)
    assert {*elements.tags} <= ALLOWED
    assert elements.attributes <= {("style", "white-space: pre-wrap; overflow-wrap: anywhere")}
    assert sendable(text).strip() in elements.text
    as_html.encode()

    (fence,) = MarkdownIt("commonmark", {"html": True}).enable("table").parse(as_markdown)
    assert (fence.type, fence.info) == ("fence", "text")
    for line in re.split(r"\r\n?|\n", sendable(text)):
        assert line in fence.content
    rendered = Elements(MarkdownIt("commonmark", {"html": True}).render(as_markdown))
    assert rendered.tags == ["pre", "code"]


def test_what_is_shown() -> None:
    chat = models.ChatCompletion.model_validate(COMPLETION)
    as_html, as_markdown = shown(chat)
    assert Elements(as_html).text == "Hello.GigaChat:2.0.28.2 · stop · 20 tokens"
    assert as_markdown == "```text\nHello.\n\nGigaChat:2.0.28.2 · stop · 20 tokens\n```"

    as_html, as_markdown = shown(run_result("Да"))
    assert Elements(as_html).tags.count("tr") == 2
    assert as_markdown.splitlines()[3:5] == ["tool  arguments    result", 'Да    {"a": "Да"}  Да']

    two = models.Models.model_validate({"data": [{"id": "GigaChat"}, {"id": "GigaChat-2-Pro", "type": "chat"}]})
    assert shown(two)[1] == "```text\nmodel           type  owner\nGigaChat\nGigaChat-2-Pro  chat\n```"
    assert shown(models.Balance(balance=[]))[1] == "```text\nno packages\n```"
    assert shown(models.Models(data=[]))[1] == "```text\nno models\n```"
    assert "2" in Elements(shown(vectors("Embeddings"))[0]).text
    assert "0.1" not in shown(vectors("Embeddings"))[0]


@pytest.mark.parametrize("form", [0, 1])
def test_long_texts_are_cut(form: int) -> None:
    """A notebook stores what it shows in its file."""
    longest = shown(run_result("Ж" * 5_000_000))[form]
    assert "Ж" * 20_000 + "… (4980000 more characters)" in longest
    assert "Ж" * 1000 + "… (4999000 more characters)" in longest
    assert len(longest) < 40_000
    assert "more characters" not in shown(run_result("Ж" * 990))[form]


def _fields(value: Any) -> Iterator[str]:
    yield from type(value).model_fields
    yield from value.model_extra or {}


@pytest.mark.parametrize("make", [one for one in RESULTS if one is not run_result])
def test_the_methods_are_no_fields(make: Any) -> None:
    result = make("Да")
    dumped = result.model_dump(by_alias=True)
    assert not [name for name in (*dumped, *_fields(result)) if "repr" in name or "shown" in name]
    assert type(result).model_validate(dumped) == result
    assert "_repr" not in str(type(result).model_json_schema())
    for twin in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert twin == result
        assert shown(twin) == shown(result)


def test_a_field_of_the_service_is_not_taken_for_a_method() -> None:
    names = ("_repr_html_", "_repr_markdown_", "_repr_mimebundle_", "_ipython_display_", "_repr_javascript_")
    hostile = dict.fromkeys(names, "<script>window.ran = 1</script>")
    for kind, fields in (
        (models.ChatCompletion, COMPLETION),
        (models.Model, {"id": "m"}),
        (models.ChatCompletionResponse, {"messages": []}),
        (models.TokensCount, {"tokens": 1, "characters": 1}),
    ):
        bundle = displayed(kind.model_validate({**fields, **hostile}))
        assert "<script>" not in bundle.get("text/html", "")
        assert bundle.keys() <= {"text/plain", "text/html", "text/markdown"}


def test_a_client_is_shown_without_its_secrets() -> None:
    with GigaChat(credentials="dGVzdDpzZWNyZXQ=") as giga:
        bundle = displayed(giga)
    assert bundle.keys() == {"text/plain"}
    assert "dGVzd" not in html.unescape(bundle["text/plain"])
