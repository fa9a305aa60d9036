"""The pages agree with the code, with each other and with the files they point at."""

from __future__ import annotations

import builtins
import importlib.util
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

import gigachat
from gigachat import GigaChat, GigaChatException, exceptions
from gigachat._engine.errors import error_for_status
from gigachat._engine.service import MODEL
from gigachat.models.chat import Chat
from gigachat.models.chat_completions import ChatCompletionRequest
from gigachat.models.threads import ThreadRunOptions
from gigachat.server.endpoints import assistants, embeddings, moderation, threads
from gigachat.server.wire.shapes import alternatives, fields_of
from gigachat.settings import Settings
from tests.docs.pages import COMPATIBILITY, ERRORS, PAGES, ROOT, SETTINGS, TWINS, python_blocks, read

ARGUMENTS_ONLY = ("access_token_provider", "http_client", "async_http_client", "observers", "pool")
NOT_GIVEN = "–"


def _code(text: str) -> list[tuple[int, str]]:
    """Return the tokens of Python code that mean something."""
    skipped = (tokenize.COMMENT, tokenize.NL)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(token.type, token.string) for token in tokens if token.type not in skipped]


@pytest.mark.parametrize("twins", TWINS, ids=lambda twins: twins[0])
def test_both_languages_have_the_same_sections_and_code(twins: tuple[str, str]) -> None:
    english, russian = map(read, twins)
    assert [level for level, _ in english.headings] == [level for level, _ in russian.headings]
    assert [(block.language, block.section) for block in english.blocks] == [
        (block.language, block.section) for block in russian.blocks
    ]
    for one, other in zip(english.blocks, russian.blocks, strict=True):
        if one.language == "python":
            assert _code(one.text) == _code(other.text), f"{one} and {other} differ"
        elif one.language != "text":
            assert one.text == other.text, f"{one} and {other} differ"


@pytest.mark.parametrize("twins", TWINS, ids=lambda twins: twins[0])
def test_both_languages_point_at_each_other(twins: tuple[str, str]) -> None:
    english, russian = (name.rpartition("/")[2] for name in twins)
    assert russian in read(twins[0]).links
    assert english in read(twins[1]).links


def test_every_page_is_in_both_languages() -> None:
    assert {page for page in PAGES if page.endswith(".ru.md")} == {russian for _, russian in TWINS}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    for link in read(page).links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            headings = {_anchor(heading) for _, heading in read(target.relative_to(ROOT).as_posix()).headings}
            assert anchor in headings, f"{page}: {link}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    page_ = read(page)
    text = page_.prose + "".join(block.text for block in page_.blocks if block.language == "bash")
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets


# Settings


def _default(name: str) -> str:
    """Return the default of an option as a table shows it."""
    value: Any = Settings.model_fields[name].default if name in Settings.model_fields else None
    if name == "model":
        value = MODEL
    elif name == "timeout":
        value = Settings.model_construct().timeouts
    match value:
        case None | ():
            return NOT_GIVEN
        case bool():
            return f"`{str(value).lower()}`"
        case int():
            return f"`{value}`"
        case float():
            return f"`{value:g}`"
        case tuple():
            return "`" + ", ".join(f"{item:g}" for item in value) + "`"
        case _:
            return f"`{value}`"


def _rows(page: str) -> list[tuple[list[str], str, str]]:
    """Return the rows of a page's tables of settings: names, default and meaning."""
    tables = [table for table in read(page).tables if table[0][0] in ("Argument", "Аргумент")]
    return [(re.findall(r"`(\w+)`", row[0]), row[1], row[2]) for table in tables for row in table[1:]]


@pytest.mark.parametrize("page", SETTINGS)
def test_the_settings_tables_have_every_setting_once(page: str) -> None:
    named = [name for names, _, _ in _rows(page) for name in names]
    assert sorted(named) == sorted([*Settings.model_fields, *ARGUMENTS_ONLY])
    accepted = set(inspect.signature(GigaChat.__init__).parameters) - {"self", "positional", "unknown"}
    assert set(named) == accepted


@pytest.mark.parametrize("page", SETTINGS)
def test_the_settings_tables_have_the_true_defaults(page: str) -> None:
    for names, default, _ in _rows(page):
        for name in names:
            assert default == _default(name), f"{page}: {name}"


def test_both_languages_have_the_same_settings_in_the_same_order() -> None:
    english, russian = ([(names, default) for names, default, _ in _rows(page)] for page in SETTINGS)
    assert english == russian


@pytest.mark.parametrize("page", SETTINGS)
def test_addresses_in_the_settings_tables_are_accepted(page: str) -> None:
    meanings = {name: meaning for names, _, meaning in _rows(page) for name in names}
    for name in ("base_url", "proxy"):
        addresses = re.findall(r"`(https?://[^`]+)`", meanings[name])
        assert addresses
        for address in addresses:
            assert getattr(Settings(**{name: address}), name) == address


@pytest.mark.parametrize("alias", ["GIGACHAT_API_KEY", "GIGACHAT_AUTH_KEY", "GIGACHAT_CREDENTIALS"])
def test_the_variables_of_the_key_are_read(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(alias, "a2V5")
    assert Settings().credentials == "a2V5"
    assert alias == "GIGACHAT_CREDENTIALS" or all(alias in read(page).prose for page in SETTINGS)


def _changed_defaults(page: str) -> list[tuple[str, str, str]]:
    (table,) = (table for table in read(page).tables if "`base_url`" in {row[0] for row in table})
    return [(name.strip("`"), before, now) for name, before, now, _reason in table[1:]]


@pytest.mark.parametrize("page", COMPATIBILITY)
def test_changed_defaults_of_the_compatibility_page_are_true(page: str) -> None:
    changed = _changed_defaults(page)
    assert len(changed) > 3
    for name, before, now in changed:
        assert now == _default(name)
        assert before != now


def test_both_compatibility_pages_name_the_same_defaults() -> None:
    english, russian = ([(name, now) for name, _, now in _changed_defaults(page)] for page in COMPATIBILITY)
    assert english == russian


# From 0.1


def _from_0_1(page: str) -> list[tuple[str, str]]:
    (table,) = (table for table in read(page).tables if table[0][0] == "0.1")
    return [(before, now) for before, now in table[1:]]


@pytest.mark.parametrize("page", COMPATIBILITY)
def test_modules_of_0_1_are_gone_and_what_stands_for_them_is_there(page: str) -> None:
    gone = re.findall(r"`(gigachat(?:\.\w+)+)`", " ".join(before for before, _ in _from_0_1(page)))
    assert len(gone) > 4
    for name in gone:
        module, _, last = name.rpartition(".")
        assert importlib.util.find_spec(module) is None or not hasattr(importlib.import_module(module), last)
    now = " ".join(now for _, now in _from_0_1(page))
    for line in re.findall(r"`(from [^`]+)`", now):
        exec(line, {})
    for name in re.findall(r"`(gigachat(?:\.\w+)+)`", now):
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module), last)
    for name in re.findall(r"`\.(\w+)\(\)`", " ".join(map(" ".join, _from_0_1(page)))):
        assert callable(getattr(gigachat.Messages, name))


@pytest.mark.parametrize("page", COMPATIBILITY)
def test_calls_that_stand_for_those_of_0_1_are_calls(page: str) -> None:
    threads = GigaChat(access_token="token").threads
    calls = re.findall(r"`threads\.(\w+)\(([^)]*)\)`", " ".join(now for _, now in _from_0_1(page)))
    assert len(calls) == 3
    for method, arguments in calls:
        names = list(inspect.signature(getattr(threads, method)).parameters)
        for place, argument in enumerate(arguments.split(", ")):
            keyword, given, _ = argument.partition("=")
            assert keyword in names if given else names[place] == argument, f"{method}: {argument}"


# Errors


@pytest.mark.parametrize("page", ERRORS)
def test_the_tree_of_errors_is_the_one_of_the_code(page: str) -> None:
    (tree,) = (block.text for block in read(page).blocks if block.language == "text")
    named = set()
    path: list[type[BaseException]] = []
    for line in tree.splitlines():
        match = re.match(r"([│├└─ ]*)(\w+)\s*(\d\d\d|5xx)?", line)
        assert match is not None
        depth = len(match[1]) // 4
        kind = getattr(gigachat, match[2])
        del path[depth:]
        if path:
            # As deep as it stands: its parent is its nearest public ancestor.
            ancestors = [one for one in kind.__mro__[1:] if one.__name__ in exceptions.__all__]
            assert ancestors[0] is path[-1], line
        if match[3]:
            status = int(match[3].replace("xx", "03"))
            assert type(error_for_status("", status, None, None)) is kind, line
        path.append(kind)
        named.add(match[2])
    assert named == set(exceptions.__all__) - {"GigaChatWarning"}


@pytest.mark.parametrize("page", ERRORS)
def test_names_of_the_api_in_the_tree_of_errors_exist(page: str) -> None:
    (tree,) = (block.text for block in read(page).blocks if block.language == "text")
    attributes = re.search(r"ResponseError .*: (\w+(?:, \w+)+)$", tree, re.MULTILINE)
    assert attributes is not None
    error = error_for_status("https://localhost", 404, b"{}", {})
    assert all(hasattr(error, name) for name in attributes[1].split(", "))
    for name in ("get_models", "chat_parse"):
        assert name in tree
        assert hasattr(GigaChat, name)


@pytest.mark.parametrize("page", ERRORS)
def test_errors_have_the_attributes_of_the_table(page: str) -> None:
    (table,) = read(page).tables
    errors = {
        "ResponseError": error_for_status("https://localhost", 404, b"{}", {}),
        "APIConnectionError": exceptions.APIConnectionError("text"),
        "APIResponseValidationError": exceptions.APIResponseValidationError("text"),
        "GenerationError": exceptions.GenerationError("text"),
        "LengthFinishReasonError": exceptions.LengthFinishReasonError(None),
        "ContentFilterFinishReasonError": exceptions.ContentFilterFinishReasonError(None),
    }
    named = {name: row[1] for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])}
    assert set(named) == set(errors)
    for name, attributes in named.items():
        names = re.findall(r"`(?!chat_parse)(\w+)`", attributes)
        assert names
        assert all(hasattr(errors[name], attribute) for attribute in names), name


@pytest.mark.parametrize("page", ERRORS)
def test_standard_errors_that_the_page_names_are_bases(page: str) -> None:
    for line in (block.text for block in read(page).blocks if block.language == "text"):
        for name, base in re.findall(r"(\w+Error) +.*[; ](ValueError|RuntimeError)$", line, re.MULTILINE):
            assert issubclass(getattr(gigachat, name), getattr(builtins, base))
    for name, base in (
        ("APIConnectionError", ConnectionError),
        ("APITimeoutError", TimeoutError),
        ("APIResponseValidationError", ValueError),
        ("ContentFilterFinishReasonError", ValueError),
    ):
        assert issubclass(getattr(gigachat, name), base)
        assert re.search(rf"`{name}`[^.]*`{base.__name__}`", read(page).prose)


def test_every_public_error_is_a_gigachat_exception() -> None:
    errors = set(exceptions.__all__) - {"GigaChatWarning"}
    assert all(issubclass(getattr(gigachat, name), GigaChatException) for name in errors)


# The notes on the API, the changelog, the guide


_REFERENCE = re.compile(r"[Rr]eference,? (?:sections? )?(\d+(?:\.\d+)?(?:(?:, | and )\d+(?:\.\d+)?)*)")


def _references() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        # Docstrings are wrapped anywhere.
        text = " ".join(re.sub(r"^\s*#", "", line).strip() for line in path.read_text("utf-8").splitlines())
        for numbers in _REFERENCE.findall(text):
            for number in re.findall(r"\d+(?:\.\d+)?", numbers):
                found.setdefault(number, set()).add(path.relative_to(ROOT).as_posix())
    return found


def test_sections_that_docstrings_rest_on_exist() -> None:
    references = _references()
    assert len(references) > 10
    headings = {heading.partition(" ")[0].rstrip(".") for _, heading in read("docs/api-notes.md").headings}
    missing = {number: files for number, files in references.items() if number not in headings}
    assert not missing


def test_the_notes_keep_the_numbering_whole() -> None:
    numbers = [heading.partition(" ")[0].rstrip(".") for _, heading in read("docs/api-notes.md").headings[1:]]
    tops = [number for number in numbers if number.isdigit()]
    assert tops == [str(number) for number in range(16)]
    for section, parts in {"1": 5, "2": 2, "3": 2, "4": 8, "5": 8, "8": 2, "9": 5, "10": 5, "12": 2}.items():
        inside = [number for number in numbers if number.startswith(f"{section}.")]
        assert inside == [f"{section}.{part}" for part in range(1, parts + 1)]


def _fields(shape: Any) -> Iterator[str]:
    """Yield the names of the fields that the strict mode lets through, at every depth."""
    for kind in alternatives(shape):
        if get_origin(kind) is list:
            yield from _fields(get_args(kind)[0])
        elif isinstance(kind, dict) or (isinstance(kind, type) and issubclass(kind, BaseModel)):
            for name, inner in (kind if isinstance(kind, dict) else fields_of(kind)).items():
                yield name
                if name != "data_for_context":  # messages again
                    yield from _fields(inner)


SHAPES = {
    "chat": Chat,
    "chat_v2": ChatCompletionRequest,
    "embeddings": embeddings.EMBEDDINGS,
    "filter": moderation.FILTER,
    "assistants": assistants.FIELDS,
    "threads": threads.MESSAGES,
    "runs": ThreadRunOptions,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_notes_list_what_the_strict_mode_lets_through(shape: Any) -> None:
    text = (ROOT / "docs/api-notes.md").read_text("utf-8")
    missing = {name for name in _fields(shape) if not re.search(rf"[`\"?.]{name}[`\"=]", text)}
    assert not missing


def test_the_changelog_begins_with_this_version() -> None:
    newest = next(heading for level, heading in read("CHANGELOG.md").headings if level == 2)
    assert re.match(r"\[?(\d+\.\d+\.\d+)", newest), newest
    assert gigachat.__version__ in newest


def test_quotations_of_the_guide_stand_in_the_code() -> None:
    sources = [path.read_text("utf-8") for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")]
    quoted = python_blocks("CONTRIBUTING.md")
    assert quoted
    for block in quoted:
        assert any(block.text in source for source in sources), block


def test_folders_the_guide_names_exist() -> None:
    page = read("CONTRIBUTING.md")
    paths = re.findall(r"`((?:src|tests|docs|examples|benchmarks)/[\w./-]*)`", page.prose)
    assert paths
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing
