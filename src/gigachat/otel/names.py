"""Names of OpenTelemetry's GenAI conventions that this package writes.

They are strings of our own: the package with the constants is a beta, and other packages pin its versions. `PACKAGED`
has the names of that package (conventions 1.44), `LATEST` those of the repository `semantic-conventions-genai` 0.1.0.
"""

from __future__ import annotations

from dataclasses import dataclass

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
}
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - a name
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
ERROR = "error.type"
HOST = "server.address"
PORT = "server.port"
STATUS = "http.response.status_code"

# Of this package, without a convention.
ATTEMPTS = "gigachat.attempts"
OUTCOME = "gigachat.outcome"
STEPS = "gigachat.run.steps"
STOP = "gigachat.run.stop"
RETRY = "gigachat.retry"
TOKEN_RENEWED = "gigachat.token_renewed"  # noqa: S105 - a name
ATTEMPT = "gigachat.attempt"
PAUSE = "gigachat.retry.pause"

EXECUTE_TOOL = "execute_tool"
INVOKE_AGENT = "invoke_agent"
GIGACHAT = "gigachat"

SECONDS = tuple(0.01 * 2**power for power in range(14))
"""Boundaries of durations."""
TOKENS = tuple(4**power for power in range(14))
"""Boundaries of token counts."""


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Names of metrics, which differ between the conventions.

    Attributes:
        duration: Histogram of the seconds of calls.
        first_chunk: Histogram of the seconds until the first chunk of a stream.
        token_usage: Histogram of token counts by their type; empty if each type has a counter.
        input_tokens: Counter of prompt tokens.
        output_tokens: Counter of generated tokens.
        cached_tokens: Counter of prompt tokens taken from the cache.
    """

    duration: str
    first_chunk: str
    token_usage: str = ""
    input_tokens: str = ""
    output_tokens: str = ""
    cached_tokens: str = ""


PACKAGED = MetricNames(
    duration="gen_ai.client.operation.duration",
    first_chunk="gen_ai.client.operation.time_to_first_chunk",
    token_usage="gen_ai.client.token.usage",  # noqa: S106 - a name
)
LATEST = MetricNames(
    duration="gen_ai.client.inference.duration",
    first_chunk="gen_ai.client.inference.time_to_first_chunk",
    input_tokens="gen_ai.client.inference.usage.input_tokens",
    output_tokens="gen_ai.client.inference.usage.output_tokens",
    cached_tokens="gen_ai.client.inference.usage.cache_read.input_tokens",
)

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
OPT_IN_VALUE = "gen_ai_latest_experimental"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CAPTURE_VALUES = ("true", "1", "span_only", "span_and_event")
