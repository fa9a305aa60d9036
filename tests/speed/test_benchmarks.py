"""Do the benchmarks compare like with like, and do they report what they have measured?"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import httpx2
import pytest
from benchmarks import answers, record, tables
from benchmarks.bulk import ROOT
from benchmarks.child import CLASSES
from benchmarks.picture import picture
from benchmarks.results import Results, Spread
from benchmarks.scenarios import SCENARIOS, STARTS
from benchmarks.systems import Ours
from benchmarks.targets import TARGETS, Target

from gigachat import GigaChat
from tests.support.payloads import completion


@pytest.fixture
def results() -> Results:
    """Results in which 0.2.3 needs 100 µs, and each other system half of it or twice as much."""
    made = Results()
    for scenario in tables.ROWS:
        made.start(scenario.name)
        for number in range(3):
            for factor, system in ((1.0, "0.2.3"), (0.5, "ours"), (2.0, "openai")):
                made.add(scenario.name, system, number, factor * (100 + number) * 1e-6)
    made.about = {"date": "2026-01-01", "python": "CPython 3", "cores": 2, "machine": "m", "server": "s", "load": 0.1}
    return made


def bodies(case: str) -> list[bytes]:
    """Return the bodies that a case of our client sends."""
    sent: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content)
        return httpx2.Response(200, content=answers.function_call() if len(sent) == 1 else completion("3"))

    system = Ours("http://service")
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        system.client = GigaChat(base_url="http://service/v1", access_token="t", model="GigaChat", http_client=http)
        getattr(system, case)()
    return sent


def test_the_agent_by_hand_sends_what_the_run_sends() -> None:
    of_run, by_hand = bodies("agent_run"), bodies("agent")
    assert list(map(json.loads, of_run)) == list(map(json.loads, by_hand))
    assert [message["role"] for message in json.loads(of_run[-1])["messages"]] == ["user", "assistant", "function"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_streams_have_as_many_events_as_was_asked_for(version: str) -> None:
    text = b"".join(answers.events(version, 7))
    assert text.count(b"data: {") == 7
    assert text.endswith(b"data: [DONE]\n\n") == (version == "v1")


def test_scenarios_name_systems_and_cases_that_exist() -> None:
    for scenario in SCENARIOS:
        assert set(scenario.systems) <= CLASSES.keys()
        for system in scenario.systems:
            assert hasattr(CLASSES[system], scenario.cases.get(system, scenario.case)), (scenario.name, system)


@pytest.mark.parametrize(
    "target", TARGETS, ids=lambda target: f"{target.reached[0]}-{target.reached[1]}-{target.limit}"
)
def test_targets_name_what_is_measured(target: Target) -> None:
    measured = {(one.name, system) for one in SCENARIOS for system in one.systems}
    measured |= {(one.name, system) for one in STARTS for system in one.programs}
    assert {one for one in (target.reached, target.of, target.floor) if isinstance(one, tuple)} <= measured


def test_ratios_are_those_of_the_same_round() -> None:
    results = Results()
    results.start("chat")
    for number, (ours, theirs) in enumerate([(1.0, 2.0), (10.0, 20.0), (3.0, 4.0)]):
        results.add("chat", "ours", number, ours)
        results.add("chat", "openai", number, theirs)
    results.add("chat", "ours", 3, 100.0)  # a round in which the other one failed
    assert results.ratio(("chat", "ours"), ("chat", "openai")) == Spread(0.5, 0.5, 0.625)
    assert results.ratio(("chat", "ours"), 2.0) == Spread(3.25, 1.25, 16.25)
    assert results.ratio(("chat", "ours"), ("chat", "litellm")) is None


def test_results_go_on_after_they_were_saved(tmp_path: Path, results: Results) -> None:
    results.save(tmp_path / "build" / "results.json")
    assert Results.load(tmp_path / "build" / "results.json") == results
    assert Results.load(tmp_path / "none.json") == Results()


@pytest.mark.parametrize("language", [tables.EN, tables.RU])
def test_tables_show_each_target_and_its_verdict(language: int, results: Results) -> None:
    rows = tables.targets(results, language)[2:]
    assert len(rows) == len(TARGETS)
    (chat,) = (row for row, target in zip(rows, TARGETS, strict=True) if target.limit == 0.45)
    assert "| 0.45 | 0.50 |" in chat
    assert tables.verdict(TARGETS[0], Spread(0.46, 0.4, 0.5))[language] in chat
    assert len({row.count("|") for row in tables.times(results, language)}) == 1


@pytest.mark.parametrize("language", [tables.EN, tables.RU])
def test_the_picture_is_svg_that_loads_nothing(language: int, results: Results) -> None:
    text = picture(results, language)
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert text.count("http") == 1
    assert ">0.50<" in text


def test_the_page_keeps_what_is_around_the_marks() -> None:
    text = f"before\n\n{record.BEGIN}\nold\n{record.END}\n\nafter\n"
    assert record.replaced(text, ["new"]) == f"before\n\n{record.BEGIN}\n\nnew\n\n{record.END}\n\nafter\n"
    with pytest.raises(SystemExit, match="marks"):
        record.replaced("no marks", ["new"])


@pytest.mark.parametrize("page", record.PAGES)
def test_the_pages_hold_measured_tables(page: str) -> None:
    text = (record.DOCS / page).read_text("utf-8")
    measured = text.partition(record.BEGIN)[2].partition(record.END)[0]
    assert measured.count("\n| ") > len(TARGETS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory is read from the module `resource`")
def test_jobs_are_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.bulk", "--rows=0", "--cost-rows=20", "--memory-rows=200"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    assert re.search(r"\| 20 rows \| \d+ µs \| \d+ µs \|", done.stdout)
    assert re.search(r"\| 200 rows \| \d+ MiB \| \d+ MiB \|", done.stdout)
