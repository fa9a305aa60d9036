"""Where rows come from: files of each format, tables, iterables; and what cannot be read."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChat, bulk
from gigachat.server import GigaChatServer

ROWS = [{"id": "1", "text": "хорошо, да"}, {"id": "2", "text": 'так "себе"\nдве строки'}]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
CSV = 'id,text\n1,"хорошо, да"\n2,"так ""себе""\nдве строки"\n'


def found(source: Any, giga: GigaChat, **options: Any) -> list[bulk.Result]:
    return list(bulk.iterate(source, giga=giga, ordered=True, **options))


def file(tmp_path: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    (tmp_path / name).write_text(text, encoding, newline="")
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("in.jsonl", "\n\n".join(LINES), "utf-8"),
        ("in.ndjson", f"{LINES[0]}\r\n{LINES[1]}\r\n", "utf-8-sig"),
        ("in.csv", CSV, "utf-8"),
        ("in.csv", CSV, "utf-8-sig"),
        ("in.csv", 'id;text\n1;хорошо, да\n2;"так ""себе""\nдве строки"\n', "utf-8"),
        ("in.csv", '"id";"text"\n1;"хорошо, да"\n2;"так ""себе""\nдве строки"\n', "utf-8"),
        ("in.tsv", 'id\ttext\n1\tхорошо, да\n2\t"так ""себе""\nдве строки"', "utf-8"),
    ],
)  # fmt: skip
def test_files_of_each_format(giga: GigaChat, tmp_path: Path, name: str, text: str, encoding: str) -> None:
    source = file(tmp_path, name, text, encoding)
    assert [one.row for one in found(source, giga)] == ROWS
    totals: list[int | None] = []
    bulk.run(source, tmp_path / "out", giga=giga, progress=lambda report: totals.append(report.total))
    assert set(totals) == {2}


def test_lines_of_text(giga: GigaChat, tmp_path: Path) -> None:
    assert [one.row for one in found(file(tmp_path, "in.txt", "один\n\nдва"), giga)] == [
        {"text": "один"},
        {"text": "два"},
    ]


def test_standard_input(giga: GigaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV.encode())))
    assert [one.row for one in found("-", giga, input_format="csv")] == ROWS


def test_standard_input_is_json_lines(giga: GigaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'"a"\nb\n')))
    assert [one.error is None for one in found("-", giga)] == [True, False]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV.encode())))
    with pytest.raises(ValueError, match=r"^standard input: line 1 is not JSON: give input_format= \(--format\)"):
        found("-", giga)


def test_tables_of_pandas(giga: GigaChat) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": [1, 2], "text": ["a", "b"], "score": [1.5, None]})
    assert [one.row for one in found(frame, giga)] == [
        {"id": 1, "text": "a", "score": 1.5},
        {"id": 2, "text": "b", "score": None},
    ]


def test_missing_values_and_lists_of_pandas(giga: GigaChat) -> None:
    pandas = pytest.importorskip("pandas")
    numpy = pytest.importorskip("numpy")
    frame = pandas.DataFrame(
        {"text": pandas.array(["a", None], dtype="string"), "score": pandas.array([1, None], dtype="Int64")}
    )
    frame["parts"] = [numpy.array([1, 2]), [3]]
    assert [one.row for one in found(frame, giga, prompt="{text}{parts}")] == [
        {"text": "a", "score": 1, "parts": [1, 2]},
        {"text": None, "score": None, "parts": [3]},
    ]


def test_an_output_is_a_source_too(giga: GigaChat, tmp_path: Path) -> None:
    bulk.run(ROWS, tmp_path / "out.jsonl", giga=giga, ordered=True)
    again = found(tmp_path / "out.jsonl", giga, prompt="{result}")
    assert [(one.id, one.error) for one in again] == [("1", None), ("2", None)]


def test_a_long_text_of_csv_is_a_row(giga: GigaChat, tmp_path: Path) -> None:
    text = "слово\n" * 30_000
    source = file(tmp_path, "in.csv", f'id,text\n1,"{text}"\n2,a\n')
    assert [one.row for one in found(source, giga, prompt="{id}")] == [
        {"id": "1", "text": text},
        {"id": "2", "text": "a"},
    ]


def test_empty_lines_before_the_names_of_csv_are_skipped(giga: GigaChat, tmp_path: Path) -> None:
    source = file(tmp_path, "in.csv", "\r\n\n\nid;text\n1;a, b\n2\n", "utf-8-sig")
    [row, error] = found(source, giga)
    assert row.row == {"id": "1", "text": "a, b"}
    assert error.error is not None
    assert error.error.message == "line 6 has 1 fields, but the first line 2"


def test_commas_within_the_names_of_csv_separate_nothing(giga: GigaChat, tmp_path: Path) -> None:
    source = file(tmp_path, "in.csv", '"Отзыв, текст, ""как есть"", дата";id\nхорошо;1\n')
    assert [one.row for one in found(source, giga, prompt="{id}")] == [
        {'Отзыв, текст, "как есть", дата': "хорошо", "id": "1"}
    ]


@pytest.mark.parametrize("names", [["text", "text"], [1, "1"]])
def test_a_frame_with_two_columns_of_one_name_is_refused(giga: GigaChat, names: list[Any]) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=f"two columns '{names[1]}': rename"):
        found(pandas.DataFrame([["a", "b"]], columns=names), giga, prompt=str)


def test_standard_input_that_is_closed_is_told(giga: GigaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="standard input is closed"):
        found("-", giga)


def test_a_csv_with_two_columns_of_one_name_is_refused(giga: GigaChat, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two columns 'text': rename"):
        found(file(tmp_path, "in.csv", "text,text\na,b\n"), giga)
    assert found(file(tmp_path, "in.csv", "text,,\na,,\n"), giga)[0].error is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_is_told_of_standard_input(giga: GigaChat, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.jsonl")
    with pytest.raises(ValueError, match="- takes a pipe"):
        found(tmp_path / "in.jsonl", giga)


def test_tables_of_polars(giga: GigaChat) -> None:
    polars = pytest.importorskip("polars")
    assert [one.row for one in found(polars.DataFrame(ROWS), giga)] == ROWS


def test_parquet_and_tables_of_pyarrow(giga: GigaChat, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "in.parquet")
    assert [one.row for one in found(tmp_path / "in.parquet", giga)] == ROWS
    assert [one.row for one in found(table, giga)] == ROWS


def test_what_is_no_parquet_is_told(giga: GigaChat, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["text", "text"])
    parquet.write_table(table, tmp_path / "twice.parquet")
    for source in (table, tmp_path / "twice.parquet"):
        with pytest.raises(ValueError, match="two columns 'text': rename"):
            found(source, giga)
    with pytest.raises(ValueError, match=r"in\.parquet is not Parquet"):
        found(file(tmp_path, "in.parquet", "text"), giga)


def test_parquet_without_pyarrow_says_what_to_install(
    giga: GigaChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        found(file(tmp_path, "in.parquet", "PAR1"), giga)


def test_iterables_are_taken_as_needed(giga: GigaChat) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "a"

    results = bulk.iterate(endless(), giga=giga, window=5)
    assert [next(results).value for _ in range(3)]
    results.close()  # type: ignore[attr-defined]
    assert taken < 30


def test_requests_as_rows_and_functions_that_make_them(giga: GigaChat, server: GigaChatServer) -> None:
    request = {"id": 7, "messages": [{"role": "user", "content": "a"}], "temperature": 0.5}
    [result] = found([request], giga)
    assert result.id == 7
    assert 0.5 in [one.json.get("temperature") for one in server.requests_to("/chat/completions")]
    found(["b"], giga, prompt=lambda row: [{"role": "user", "content": row["text"] * 2}], system="Кратко")
    assert ["Кратко", "bb"] in [[message.content for message in chat.messages] for chat in server.chats]


@pytest.mark.parametrize(
    ("name", "text", "reasons"),
    [
        (
            "in.jsonl",
            '"a"\n{"text":\n[1]\n"b"',
            [None, "line 2 is not JSON", "line 3 is neither an object nor text", None],
        ),
        ("in.csv", "id,text\n1,a\n2,b,c\n3,d\n", [None, "line 3 has 3 fields, but the first line 2", None]),
        ("in.csv", 'id,text\n1,a\n2,"b\n3,c\n', [None, "lines 3 to 4 are not CSV: a quote is not closed"]),
        ("in.csv", 'id,text\n1,"a"b\n2,c\n', ["line 2 is not CSV: ',' expected after '\"'", None]),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_fails_alone(
    giga: GigaChat, tmp_path: Path, name: str, text: str, reasons: list[str | None]
) -> None:
    results = found(file(tmp_path, name, text), giga)
    assert [one.error and one.error.message for one in results] == reasons


def test_a_file_in_another_encoding_is_told(giga: GigaChat, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        found(file(tmp_path, "in.csv", CSV, "cp1251"), giga)
    [result, _] = found(file(tmp_path, "in.jsonl", '"хорошо"\n"да"', "cp1251"), giga)
    assert result.error is not None
    assert "UTF-8" in result.error.message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("no.jsonl", "there is no such file"),
        ("no.json", "does not tell the format: give input_format="),
        ("no.xlsx", "no.xlsx: files of Excel are not read: save it as CSV"),
        (5, "rows are a path, a table or an iterable"),
        ({"text": "a"}, "rows are a path, a table or an iterable"),
        (b"text", "rows are a path, a table or an iterable"),
        ([{"word": "a"}], "no text in any of the fields"),
    ],
)
def test_what_is_no_source_is_refused(giga: GigaChat, server: GigaChatServer, source: Any, reason: str) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        found(source, giga)
    server.assert_nothing_asked()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"prompt": "{}"}, "names of fields in braces"),
        ({"prompt": "{text"}, "the template is invalid"),
        ({"prompt": "{word}"}, "no field 'word'; its fields: text$"),
        ({"prompt": '{"tone": "good"} {text}'}, "its fields: text; a brace that is meant is written twice"),
        ({"promt": "{text}"}, "no option promt=: did you mean prompt="),
        ({"temperature": "hot"}, "temperature"),
        ({"prompt": 5}, "prompt is a template or a function"),
        ({"into": int, "repair": -1}, "repair= is"),
        ({"task": "sing"}, "task is one of chat, embed, tokens"),
        ({"task": "embed", "temperature": 1}, "temperature= belongs to task='chat'"),
        ({"concurrency": 0}, "concurrency is"),
        ({"retries": -1}, "retries is"),
        ({"window": 0}, "window is"),
        ({"backend": "post"}, "backend is"),
        ({"giga": "client"}, "giga is a GigaChat"),
    ],
)
def test_options_that_are_wrong_are_refused(
    giga: GigaChat, server: GigaChatServer, options: dict[str, Any], reason: str
) -> None:
    asked: dict[str, Any] = {"giga": giga, **options}
    with pytest.raises((ValueError, TypeError), match=reason):
        list(bulk.iterate(["a"], **asked))
    server.assert_nothing_asked()
