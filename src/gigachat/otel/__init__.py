"""Traces and metrics of a client for OpenTelemetry, by its GenAI conventions. They need opentelemetry-api."""

from __future__ import annotations

try:
    import opentelemetry.trace  # noqa: F401 - so that the error below says what to install
except ImportError as error:
    raise ImportError('OpenTelemetry is not installed: pip install "opentelemetry-api>=1.31"') from error

from gigachat.otel.telemetry import OpenTelemetry

__all__ = ["OpenTelemetry"]
