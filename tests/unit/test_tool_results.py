"""Results of tools as JSON: what is read, what is wrapped, what is cut and what is refused."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import pathlib
import subprocess
import sys
import uuid
from collections import UserList, deque, namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel, Field, SecretStr

from gigachat.tools import result_json

NAN = float("nan")


class Place(BaseModel):
    city: str = Field(default="Псков", serialization_alias="name")
    when: datetime.date = datetime.date(2026, 1, 2)
    secret: SecretStr = SecretStr("secret")


@dataclass
class Size:
    width: float


class Color(enum.Enum):
    RED = "red"


Point = namedtuple("Point", "x y")
FRAME = pd.DataFrame({"a": [1, 2], "b": [1.5, NAN], "t": pd.to_datetime(["2026-01-02", None])})
ROWS: list[dict[str, Any]] = [{"a": 1, "b": 1.5, "t": "2026-01-02T00:00:00"}, {"a": 2, "b": None, "t": None}]


def rejected(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def read(text: str) -> Any:
    """Return what a strict reader of JSON reads."""
    document = json.loads(text, parse_constant=rejected)
    assert isinstance(document, dict | list)
    return document


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ([], []),
        ((1, "я"), [1, "я"]),
        ({"a": {1: {None: NAN}}}, {"a": {"1": {"None": None}}}),
        (Place(), {"name": "Псков", "when": "2026-01-02", "secret": "**********"}),
        ([Size(float("inf"))], [{"width": None}]),
        (Point(1, 2), [1, 2]),
        (deque([1]), [1]),
        (MappingProxyType({"a": UserList([1])}), {"a": [1]}),
        ({"a": 1}.keys(), ["a"]),
        ({1}, [1]),
        ((number for number in range(3)), [0, 1, 2]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ({"mean": np.float64(1.5), "flag": np.bool_(True), "n": np.int64(3)}, {"mean": 1.5, "flag": True, "n": 3}),
        (np.array(["2026-01-02", "NaT"], dtype="datetime64[D]"), ["2026-01-02", None]),
        (FRAME, ROWS),
        ({"rows": FRAME}, {"rows": ROWS}),
        (FRAME[FRAME["a"] > 1], [{"index": 1, **ROWS[1]}]),
        (FRAME.set_index("t")[["a"]].head(1), [{"t": "2026-01-02T00:00:00", "a": 1}]),
        (FRAME["b"], [1.5, None]),
        (FRAME.groupby("a")["b"].sum(), [{"a": 1, "b": 1.5}, {"a": 2, "b": 0.0}]),
        (pd.Series([1, 2], index=["x", "y"]), [{"index": "x", "value": 1}, {"index": "y", "value": 2}]),
        (pd.Index([1, 2]), [1, 2]),
        (pd.DataFrame(), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_and_arrays_are_written_as_they_are(value: Any, expected: Any) -> None:
    assert read(result_json(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (5, 5),
        (10**30, 10**30),
        (NAN, None),
        (np.float64(NAN), None),
        (np.int64(3), 3),
        ("Тепло", "Тепло"),
        ("[не JSON", "[не JSON"),
        ('{"a": NaN}', '{"a": NaN}'),
        ("5", "5"),
        (b"text", "text"),
        (Color.RED, "red"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00Z"),
        (datetime.timedelta(seconds=5), "PT5S"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/tmp/x"), "/tmp/x"),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (ValueError("нет города"), "ValueError: нет города"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_anything_else_is_wrapped(value: Any, expected: Any) -> None:
    assert read(result_json(value)) == {"result": expected}


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2]", ' {"a": "я"}\n'])
def test_the_json_of_an_object_or_array_is_returned_as_it_is(text: str) -> None:
    assert result_json(text) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("\ud800 of a pair", {"result": "? of a pair"}),
        (["\udfff", 1, NAN], ["?", 1, None]),
        ({"b": {"a": ["я\ud800"]}}, {"b": {"a": ["я?"]}}),
        ('{"a": "\ud800"}', {"result": '{"a": "?"}'}),
    ],
    ids=["text", "list", "mapping", "document"],
)
def test_half_a_surrogate_pair_becomes_a_question_mark(value: Any, expected: Any) -> None:
    assert read(result_json(value)) == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_parsers_of_json_do_not_read_becomes_text(sign: int) -> None:
    number = sign * 10**5000
    text = "-" * (sign < 0) + "1" + "0" * 5000
    assert read(result_json(number)) == {"result": text}
    assert read(result_json([1, {"a": number}, 0.5, "я"])) == [1, {"a": text}, 0.5, "я"]
    assert read(result_json(10**4299)) == {"result": 10**4299}
    assert read(result_json(f"[{text}]")) == {"result": f"[{text}]"}


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "the result of type object has no JSON form: object is not known: return text, numbers, lists"),
        ([len], "the result of type list has no JSON form: builtin_function_or_method is not known"),
        (b"\xff", "the result of type bytes has no JSON form: invalid utf-8"),
        (CYCLE, "the result of type list has no JSON form: .*Circular reference"),
        (NESTED, "the result of type list has no JSON form: "),
    ],
    ids=["object", "function", "bytes", "cycle", "nested"],
)
def test_what_has_no_json_form_is_refused_in_one_line(value: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text) as raised:
        result_json(value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None


LONG = ["я" * 200, '\x00"\n' * 100, {"a": "x" * 300}, ["x" * 300], json.dumps({"a": [0] * 100}), [[[0] * 200]]]


@pytest.mark.parametrize("value", LONG)
@pytest.mark.parametrize("limit", [120, 150, 190])
def test_a_long_result_is_cut_and_says_so(value: Any, limit: int) -> None:
    text = result_json(value, limit)
    assert limit - 6 <= len(text) <= limit  # six characters may be one, escaped
    document = read(text)
    assert document.keys() == {"result", "note"}
    whole = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert whole.startswith(document["result"])
    kept = len(document["result"])
    assert document["note"] == f"The result is cut: these are the first {kept} of {len(whole)} characters."


@pytest.mark.parametrize("as_text", [False, True])
def test_of_a_long_list_whole_items_are_kept(as_text: bool) -> None:
    value = [{"n": number} for number in range(10_000)]
    text = result_json(json.dumps(value) if as_text else value, 1000)
    assert 900 < len(text) <= 1000
    document = read(text)
    kept = len(document["result"])
    assert document["result"] == value[:kept]
    assert document["note"] == f"The result is cut: these are the first {kept} of 10000 items."


def test_a_result_may_be_as_long_as_the_limit() -> None:
    text = '{"result":"' + "x" * 10 + '"}'
    assert result_json("x" * 10, len(text)) == text
    assert "note" in read(result_json("x" * 10, len(text) - 1))
    assert len(result_json("x" * 1_000_000)) == 100_000


def test_neither_numpy_nor_pandas_is_imported() -> None:
    program = "import sys; from gigachat.tools import result_json; result_json([1]); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
