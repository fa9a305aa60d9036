"""Spans and metrics of OpenTelemetry, read by the exporters of its SDK."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gigachat import BadRequestError, ConfigurationError, GigaChat
from gigachat._engine.transport import Stage
from gigachat.otel import OpenTelemetry
from tests.support.payloads import DONE, sse
from tests.unit.test_observers import CALLS_TOOL, CHUNK, EMBEDDINGS, LAST, Reads, add
from tests.unit.world import COMPLETION, Answer, World, error, lost

Attributes = dict[str, Any]


class Telemetry:
    """The SDK of one test."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def observer(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
        return span

    @property
    def metrics(self) -> dict[str, list[Any]]:
        data: Any = self.reader.get_metrics_data()
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture(params=["blocking", "async"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SEMCONV_STABILITY_OPT_IN", raising=False)
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    sdk = Telemetry()
    yield sdk
    sdk.close()


@pytest.fixture
def giga(world: World, telemetry: Telemetry) -> GigaChat:
    return world.client(access_token="t", observers=[telemetry.observer()])


def attributes(span: ReadableSpan) -> Attributes:
    return dict(span.attributes or {})


def test_a_call_is_one_span_of_the_conventions(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    world.answers = [Answer(COMPLETION, headers={"x-request-id": "abc", "x-session-id": "session"})]
    world.chat(giga, "x", model="GigaChat-2", temperature=0.5, max_tokens=100)
    span = telemetry.span
    assert (span.name, span.kind) == ("chat GigaChat-2", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gigachat",
        "gen_ai.request.model": "GigaChat-2",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.response.model": "GigaChat:2.0.28.2",
        "gen_ai.response.id": "abc",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 19,  # with the cached ones
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "server.address": "gigachat.devices.sberbank.ru",
        "server.port": 443,
        "http.response.status_code": 200,
        "gigachat.attempts": 1,
        "gigachat.outcome": "answered",
    }


def test_retries_are_events_of_the_one_span(world: World, telemetry: Telemetry) -> None:
    giga = world.client(access_token="t", observers=[telemetry.observer()], max_retries=2)
    world.answers = [error(503, x_request_id="one"), lost(Stage.CONNECTING), Answer(COMPLETION)]
    world.chat(giga, "x")
    span = telemetry.span
    one, other = (dict(event.attributes or {}) for event in span.events)
    assert [event.name for event in span.events] == ["gigachat.retry"] * 2
    assert (one["gigachat.attempt"], one["http.response.status_code"], one["gen_ai.response.id"]) == (1, 503, "one")
    assert (other["gigachat.attempt"], other["error.type"]) == (2, "APIConnectionError")
    assert attributes(span)["gigachat.attempts"] == 3


def test_a_failure_has_its_type_and_no_text(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    world.answers = [error(400, "canary")]
    with pytest.raises(BadRequestError):
        world.chat(giga, "canary")
    span = telemetry.span
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "400"
    assert "canary" not in span.to_json()


def test_a_stream_is_a_span_until_its_end(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST), DONE])]
    world.read(giga, "x")
    found = attributes(telemetry.span)
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.usage.output_tokens"] == 2
    assert telemetry.metrics["gen_ai.client.operation.time_to_first_chunk"][0].count == 1


def test_a_stream_that_is_closed_ends_its_span(telemetry: Telemetry) -> None:
    world = World("blocking")
    giga = world.client(access_token="t", observers=[telemetry.observer()])
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST), DONE])]
    stream = giga.stream("x")
    next(stream)
    assert telemetry.spans == {}
    del stream
    assert attributes(telemetry.span)["gigachat.outcome"] == "abandoned"


def test_a_span_is_a_child_of_the_callers(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    with telemetry.tracers.get_tracer("test").start_as_current_span("caller") as caller:
        world.chat(giga, "x")
    span = telemetry.spans["chat GigaChat"]
    assert span.parent == caller.get_span_context()


def test_chats_and_tools_are_children_of_their_run(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    def inner(a: int) -> int:
        """Add.

        Args:
            a: Number.
        """
        with telemetry.tracers.get_tracer("test").start_as_current_span("of the tool"):
            return add(a)

    inner.__name__ = "add"
    world.answers = [Answer(CALLS_TOOL), Answer(COMPLETION)]
    with telemetry.tracers.get_tracer("test").start_as_current_span("caller"):
        world.do(giga, "chat_run", "x", tools=[inner])
    spans = telemetry.spans
    run, tool = spans["invoke_agent"], spans["execute_tool add"]
    assert run.parent == spans["caller"].get_span_context()
    assert run.kind is tool.kind is SpanKind.INTERNAL
    assert tool.parent == spans["chat GigaChat"].parent == run.get_span_context()
    assert spans["of the tool"].parent == tool.get_span_context()
    assert len(telemetry.exporter.get_finished_spans()) == 6
    assert attributes(run)["gigachat.run.steps"] == 2
    assert attributes(tool)["gen_ai.tool.name"] == "add"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_tool_that_fails_is_a_failed_span(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    called: Any = json.loads(json.dumps(CALLS_TOOL))
    called["choices"][0]["message"]["function_call"]["arguments"] = {"a": 7}
    world.answers = [Answer(called), Answer(COMPLETION)]
    world.do(giga, "chat_run", "x", tools=[add])
    tool = telemetry.spans["execute_tool add"]
    assert attributes(tool)["error.type"] == "ValueError"
    assert "too large" not in tool.to_json()


# Metrics


def test_metrics_have_the_packaged_names(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    world.chat(giga, "x")
    world.answers = [error(400)]
    with pytest.raises(BadRequestError):
        world.chat(giga, "x")
    metrics = telemetry.metrics
    assert set(metrics) == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    good, bad = sorted(metrics["gen_ai.client.operation.duration"], key=lambda one: "error.type" in one.attributes)
    assert good.attributes["gen_ai.request.model"] == "GigaChat"
    assert bad.attributes["error.type"] == "400"
    assert good.explicit_bounds[0] == 0.01
    assert good.explicit_bounds[-1] == 81.92
    counts = {one.attributes["gen_ai.token.type"]: one.sum for one in metrics["gen_ai.client.token.usage"]}
    assert counts == {"input": 19, "output": 3}
    assert metrics["gen_ai.client.token.usage"][0].explicit_bounds[-1] == 67108864


@pytest.mark.parametrize("value", ["gen_ai_latest_experimental", "http, gen_ai_latest_experimental"])
def test_the_variable_chooses_the_latest_names(
    world: World, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", value)
    world.chat(world.client(access_token="t", observers=[telemetry.observer()]), "x")
    metrics = telemetry.metrics
    assert {name: metrics[name][0].value for name in metrics if "usage" in name} == {
        "gen_ai.client.inference.usage.input_tokens": 19,
        "gen_ai.client.inference.usage.output_tokens": 3,
        "gen_ai.client.inference.usage.cache_read.input_tokens": 2,
    }
    assert metrics["gen_ai.client.inference.duration"][0].count == 1
    assert "gen_ai.client.token.usage" not in metrics


def test_embeddings_generate_no_tokens(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    world.answers = [Answer(EMBEDDINGS)]
    world.do(giga, "embeddings", ["a", "b"])
    assert telemetry.span.name == "embeddings Embeddings"
    (point,) = telemetry.metrics["gen_ai.client.token.usage"]
    assert (point.attributes["gen_ai.token.type"], point.sum) == ("input", 7)


# Content


def test_content_is_off_by_default(world: World, telemetry: Telemetry, giga: GigaChat) -> None:
    world.chat(giga, "canary")
    assert "canary" not in telemetry.span.to_json()
    assert "Hello" not in telemetry.span.to_json()


@pytest.mark.parametrize("value", ["true", "True", "1", "SPAN_ONLY", "span_and_event"])
def test_the_variable_switches_content_on(
    world: World, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    world.chat(world.client(access_token="t", observers=[telemetry.observer()]), "Привет")
    found = attributes(telemetry.span)
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Привет"}]}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello."}], "finish_reason": "stop"}
    ]


@pytest.mark.parametrize(
    ("value", "chosen"), [("true", False), ("false", None), ("", None), ("no_content", None), ("event_only", None)]
)
def test_content_stays_off(
    world: World, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, value: str, chosen: bool | None
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    world.chat(world.client(access_token="t", observers=[telemetry.observer(capture_content=chosen)]), "canary")
    assert "canary" not in telemetry.span.to_json()


def test_a_mask_changes_nothing_but_content(world: World, telemetry: Telemetry) -> None:
    observer = telemetry.observer(capture_content=True, mask=["."])
    world.chat(world.client(access_token="t", observers=[observer]), "hello")
    found = json.loads(attributes(telemetry.span)["gen_ai.input.messages"])
    assert found == [{"role": "user", "parts": [{"type": "text", "content": "*" * 15}]}]


def test_content_is_masked(world: World, telemetry: Telemetry) -> None:
    observer = telemetry.observer(capture_content=True, mask=[r"\d{4}", re.compile("hello", re.IGNORECASE)])
    world.chat(world.client(access_token="t", observers=[observer]), "card 1234 5678, name Anna")
    found = attributes(telemetry.span)
    assert json.loads(found["gen_ai.input.messages"])[0]["parts"][0]["content"] == "card *** ***, name Anna"
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"][0]["content"] == "***."


def test_calls_of_functions_are_content(world: World, telemetry: Telemetry) -> None:
    observer = telemetry.observer(capture_content=True, mask=["secret"])
    called: Any = json.loads(json.dumps(CALLS_TOOL))
    called["choices"][0]["message"]["function_call"]["arguments"] = {"a": 1, "secret": "secret"}
    world.answers = [Answer(CALLS_TOOL), Answer(COMPLETION)]
    world.do(world.client(access_token="t", observers=[observer]), "chat_run", "x", tools=[add])
    asked, told = (
        json.loads(attributes(span)["gen_ai.input.messages"])
        for span in telemetry.exporter.get_finished_spans()
        if span.name == "chat GigaChat"
    )
    assert len(asked) == 1
    assert [part["type"] for message in told for part in message["parts"]] == [
        *("text", "tool_call", "tool_call_response")
    ]


def test_messages_of_v2_are_content(world: World, telemetry: Telemetry) -> None:
    observer = telemetry.observer(capture_content=True)
    part = {"text": "Hi", "function_call": {"name": "f", "arguments": {"a": 1}}}
    answer = {
        "model": "GigaChat-2:1",
        "messages": [{"role": "assistant", "content": [part]}],
        "finish_reason": "stop",
        "usage": {"input_tokens": 4, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
    }
    world.answers = [Answer(answer)]
    world.do(world.client(access_token="t", observers=[observer]), "chat.create", "Привет", temperature=0.3)
    found = attributes(telemetry.span)
    assert json.loads(found["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "Привет"}]
    (message,) = json.loads(found["gen_ai.output.messages"])
    assert [part["type"] for part in message["parts"]] == ["text", "tool_call"]
    assert found["gen_ai.usage.input_tokens"] == 5
    assert found["gen_ai.request.temperature"] == 0.3


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("a", "mask= takes a list of regular expressions"),
        (re.compile("a"), "mask= takes a list"),
        (5, "mask= takes a list"),
        (["("], r"mask\[0\] is not a regular expression"),
        (["a", None], r"mask\[1\] is not a regular expression"),
        ([b"a"], r"mask\[0\] is a regular expression of bytes"),
    ],
)
def test_an_invalid_mask_is_refused(mask: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        OpenTelemetry(mask=mask)


# The observer itself


def test_it_can_be_pickled_without_own_providers(telemetry: Telemetry) -> None:
    other = pickle.loads(pickle.dumps(OpenTelemetry(capture_content=True, mask=["a"])))
    assert other.reads_content
    with pytest.raises(TypeError, match="its providers belong to this process"):
        pickle.dumps(telemetry.observer())


def test_without_an_sdk_nothing_is_written(world: World) -> None:
    assert world.chat(world.client(access_token="t", observers=[OpenTelemetry()]), "x").choices


def test_two_observers_and_two_clients_do_not_mix(world: World, telemetry: Telemetry) -> None:
    reads, one, other = Reads(), telemetry.observer(), telemetry.observer()
    for observers in ([one, reads], [one, other]):
        world.chat(world.client(access_token="t", observers=cast(Any, observers)), "x")
    assert len(telemetry.exporter.get_finished_spans()) == 3


def test_a_cancelled_call_ends_its_span(telemetry: Telemetry) -> None:
    coroutine: Any = World("async").client(access_token="t", observers=[telemetry.observer()]).achat("x")
    coroutine.send(None)
    coroutine.close()
    assert attributes(telemetry.span)["gigachat.outcome"] == "cancelled"


def test_a_span_of_a_renewal_is_the_callers(world: World, telemetry: Telemetry) -> None:
    giga = world.client(observers=[telemetry.observer()])
    with telemetry.tracers.get_tracer("test").start_as_current_span("caller"):
        world.chat(giga, "x")
    assert [event.name for event in telemetry.spans["caller"].events] == ["gigachat.token_renewed"]


def test_the_package_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None\nimport gigachat.otel"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert 'ImportError: OpenTelemetry is not installed: pip install "opentelemetry-api>=1.31"' in done.stderr


def test_a_client_does_not_import_opentelemetry() -> None:
    code = "import sys; from gigachat import GigaChat; GigaChat(access_token='t'); assert not loaded()"
    code = f"def loaded(): return 'opentelemetry' in sys.modules\n{code}"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
