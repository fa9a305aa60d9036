"""The observer that writes spans and metrics.

A call is one span with its retries as events, a run is a span with its calls and tools inside. Texts of errors are not
written, since they may repeat content.
"""

from __future__ import annotations

import json
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context, metrics, trace

from gigachat import __version__
from gigachat.exceptions import ConfigurationError, ResponseError
from gigachat.observers import Observer
from gigachat.otel import messages, names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.util.types import AttributeValue

    from gigachat.observers import Attempt, ObservedCall, ObservedRun, ObservedTool, TokenRenewal


class OpenTelemetry(Observer):
    """An observer that writes spans and metrics: `GigaChat(observers=[OpenTelemetry()])`.

    A span is a child of the span that is current where the call is made; of a stream, where it is first read.

    Args:
        tracer_provider: Where spans go; the global provider if not given.
        meter_provider: Where metrics go; the global provider if not given.
        capture_content: Whether messages are written to spans. If not given, the environment variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` decides; it is off without one.
        mask: Regular expressions. What they match in messages is replaced by `***`.

    Raises:
        ConfigurationError: `mask` is not a list of regular expressions.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        capture_content: bool | None = None,
        mask: Sequence[str | re.Pattern[str]] = (),
    ) -> None:
        self._providers = tracer_provider, meter_provider
        self._arguments: dict[str, Any] = {"capture_content": capture_content, "mask": mask}
        self._mask = _patterns(mask)
        if capture_content is None:
            capture_content = os.environ.get(names.CAPTURE, "").strip().lower() in names.CAPTURE_VALUES
        self.reads_content = capture_content
        self._spans: dict[int, trace.Span] = {}
        self._attached: dict[int, Any] = {}
        self._tracer = trace.get_tracer("gigachat", __version__, tracer_provider)
        chosen = os.environ.get(names.OPT_IN, "").replace(" ", "").split(",")
        self._metrics = _Metrics(
            metrics.get_meter("gigachat", __version__, meter_provider),
            names.LATEST if names.OPT_IN_VALUE in chosen else names.PACKAGED,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the options."""
        if self._providers != (None, None):
            raise TypeError(
                "this observer cannot be pickled: its providers belong to this process; without them, it uses the "
                "global ones"
            )
        return partial(type(self), **self._arguments), ()

    def call_started(self, call: ObservedCall) -> None:
        """Start the span of a call."""
        named = f"{call.operation} {call.model}" if call.model else call.operation
        parameters = {names.REQUEST_PARAMETERS[name]: value for name, value in call.parameters.items()}
        started = {**_of_call(call), names.CONVERSATION: call.session_id, **parameters}
        if call.stream:
            started[names.REQUEST_STREAM] = True
        self._spans[call.id] = self._tracer.start_span(
            named, self._within(call.run), trace.SpanKind.CLIENT, _known(started)
        )

    def retry(self, call: ObservedCall, attempt: Attempt, pause: float) -> None:
        """Add a retry to the span of its call."""
        span = self._spans.get(call.id)
        if span is not None:
            error = None if attempt.error is None else attempt.error.__qualname__
            more = {names.STATUS: attempt.status, names.ERROR: error, names.RESPONSE_ID: attempt.request_id}
            span.add_event(names.RETRY, _known({names.ATTEMPT: attempt.number, names.PAUSE: pause, **more}))

    def answered(self, call: ObservedCall) -> None:
        """End the span of a call, unless it is a stream."""
        if not call.stream:
            self._end(call, None)

    def failed(self, call: ObservedCall, error: BaseException) -> None:
        """End the span of a call."""
        self._end(call, error)

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        """End the span of a stream."""
        self._end(call, error)

    def token_renewed(self, renewal: TokenRenewal) -> None:
        """Add a new access token to the caller's span."""
        trace.get_current_span().add_event(names.TOKEN_RENEWED)

    def run_started(self, run: ObservedRun) -> None:
        """Start the span of a run."""
        started = {names.OPERATION: names.INVOKE_AGENT, names.PROVIDER: names.GIGACHAT}
        self._spans[run.id] = self._tracer.start_span(names.INVOKE_AGENT, attributes=started)

    def run_ended(self, run: ObservedRun, error: BaseException | None) -> None:
        """End the span of a run."""
        ended = {names.REQUEST_MODEL: run.model, names.STEPS: run.steps, names.STOP: run.stop}
        _finish(self._spans.pop(run.id, None), {**ended, names.OUTCOME: run.outcome}, error)

    def tool_started(self, tool: ObservedTool) -> None:
        """Start the span of a tool, which is current while the tool runs."""
        started = {
            names.OPERATION: names.EXECUTE_TOOL,
            names.PROVIDER: names.GIGACHAT,
            names.TOOL_NAME: tool.name,
            names.TOOL_TYPE: "function",
            names.TOOL_CALL: tool.call_id,
        }
        span = self._tracer.start_span(
            f"{names.EXECUTE_TOOL} {tool.name}", self._within(tool.run), attributes=_known(started)
        )
        self._spans[tool.id] = span
        self._attached[tool.id] = context.attach(trace.set_span_in_context(span))

    def tool_ended(self, tool: ObservedTool, error: BaseException | None) -> None:
        """End the span of a tool."""
        attached = self._attached.pop(tool.id, None)
        if attached is not None:
            context.detach(attached)
        _finish(self._spans.pop(tool.id, None), {names.OUTCOME: tool.outcome}, error)

    def content(
        self, call: ObservedCall, request: Mapping[str, Any] | None, response: Mapping[str, Any] | None
    ) -> None:
        """Write the messages of a call to its span."""
        span = self._spans.get(call.id)
        if span is not None and span.is_recording():
            for name, found in (
                (names.INPUT_MESSAGES, messages.of_request(request or {})),
                (names.OUTPUT_MESSAGES, messages.of_response(response or {})),
            ):
                if found:
                    span.set_attribute(name, json.dumps([self._message(one) for one in found], ensure_ascii=False))

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message with its content masked."""
        parts = [
            {name: self._masked(value) if name in messages.CONTENT else value for name, value in part.items()}
            for part in message["parts"]
        ]
        return {**message, "parts": parts}

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            for pattern in self._mask:
                value = pattern.sub("***", value)
            return value
        if isinstance(value, list):
            return [self._masked(item) for item in value]
        if isinstance(value, dict):
            return {name: self._masked(item) for name, item in value.items()}
        return value

    def _within(self, run: ObservedRun | None) -> context.Context | None:
        """Return the context whose span is that of a run; None for the current one."""
        span = None if run is None else self._spans.get(run.id)
        return None if span is None else trace.set_span_in_context(span)

    def _end(self, call: ObservedCall, error: BaseException | None) -> None:
        ended: dict[str, Any] = {
            names.RESPONSE_MODEL: call.response_model,
            names.RESPONSE_ID: call.request_id,
            names.FINISH_REASONS: (call.finish_reason,) if call.finish_reason else None,
            names.STATUS: call.status,
            names.ATTEMPTS: call.attempts,
            names.OUTCOME: call.outcome,
        }
        if call.usage is not None:
            ended[names.INPUT_TOKENS] = call.usage.input_tokens + call.usage.cached_tokens
            ended[names.OUTPUT_TOKENS] = call.usage.output_tokens
            ended[names.CACHED_TOKENS] = call.usage.cached_tokens
        span = self._spans.pop(call.id, None)
        # Exemplars of metrics refer to the current span.
        self._metrics.record(call, error, None if span is None else trace.set_span_in_context(span))
        _finish(span, ended, error)


class _Metrics:
    """The instruments of one set of names."""

    def __init__(self, meter: metrics.Meter, named: names.MetricNames) -> None:
        seconds = partial(meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=names.SECONDS)
        self._duration = seconds(named.duration, description="Duration of calls.")
        self._first_chunk = seconds(named.first_chunk, description="Time to the first chunk of streams.")
        self._tokens: metrics.Histogram | None = None
        self._counters: tuple[metrics.Counter, ...] = ()
        if named.token_usage:
            self._tokens = meter.create_histogram(
                named.token_usage, "{token}", "Tokens used.", explicit_bucket_boundaries_advisory=names.TOKENS
            )
        else:
            counted = (named.input_tokens, named.output_tokens, named.cached_tokens)
            self._counters = tuple(meter.create_counter(name, "{token}", "Tokens used.") for name in counted)

    def record(self, call: ObservedCall, error: BaseException | None, within: context.Context | None) -> None:
        """Record a call that has ended."""
        common = _known({**_of_call(call), names.RESPONSE_MODEL: call.response_model})
        failed = {} if error is None else {names.ERROR: _kind(error)}
        self._duration.record(call.seconds or 0.0, {**common, **failed}, within)
        if call.first_chunk_seconds is not None:
            self._first_chunk.record(call.first_chunk_seconds, common, within)
        if call.usage is None:
            return
        sent, generated = call.usage.input_tokens + call.usage.cached_tokens, call.usage.output_tokens
        if self._tokens is not None:
            self._tokens.record(sent, {**common, names.TOKEN_TYPE: "input"}, within)
            if generated or call.operation != "embeddings":
                self._tokens.record(generated, {**common, names.TOKEN_TYPE: "output"}, within)
        for counter, count in zip(self._counters, (sent, generated, call.usage.cached_tokens), strict=False):
            counter.add(count, common, within)


def _of_call(call: ObservedCall) -> dict[str, Any]:
    """Return the attributes that spans and metrics of a call share."""
    address = urlsplit(call.url)
    return {
        names.OPERATION: call.operation,
        names.PROVIDER: names.GIGACHAT,
        names.REQUEST_MODEL: call.model,
        names.HOST: address.hostname,
        names.PORT: address.port or {"http": 80, "https": 443}.get(address.scheme),
    }


def _finish(span: trace.Span | None, ended: Mapping[str, Any], error: BaseException | None) -> None:
    if span is not None:
        span.set_attributes(_known(ended))
        if error is not None:
            span.set_attribute(names.ERROR, _kind(error))
            span.set_status(trace.Status(trace.StatusCode.ERROR))
        span.end()


def _kind(error: BaseException) -> str:
    return str(error.status_code) if isinstance(error, ResponseError) else type(error).__qualname__


def _known(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


def _patterns(mask: Sequence[str | re.Pattern[str]]) -> list[re.Pattern[str]]:
    given: Any = mask
    if isinstance(given, str | re.Pattern) or not hasattr(given, "__iter__"):
        raise ConfigurationError("mask= takes a list of regular expressions")
    patterns = []
    for index, pattern in enumerate(given):
        try:
            compiled = re.compile(pattern)
        except (re.error, TypeError):
            raise ConfigurationError(f"mask[{index}] is not a regular expression") from None
        if not isinstance(compiled.pattern, str):
            raise ConfigurationError(f"mask[{index}] is a regular expression of bytes, not of text")
        patterns.append(compiled)
    return patterns
