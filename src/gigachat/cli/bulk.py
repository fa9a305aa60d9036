"""`gigachat bulk`.

Send a request for each row of a file: JSON Lines, CSV, Parquet or lines of text. Each result is a line of the output,
which is the checkpoint too: after a crash or Ctrl-C, the same command continues.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.files import check_output, path_of
from gigachat.cli.status import FAILED, LIMIT, OK, status_of
from gigachat.cli.streams import is_terminal, print_error, print_json, print_note, read_file

if TYPE_CHECKING:
    import argparse

    from gigachat.bulk import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="the rows: .jsonl, .csv, .tsv, .txt or .parquet; - is stdin, JSON Lines without --format",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="file of the results, JSON Lines")
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv", "tsv", "txt", "parquet"),
        help="format of the rows, if the name of FILE does not tell it",
    )
    asked = parser.add_argument_group("what is asked")
    asked.add_argument("--task", choices=("chat", "embed", "tokens"), default="chat", help="(%(default)s)")
    asked.add_argument("-p", "--prompt", metavar="TEMPLATE", help='the question: "Translate: {text}"; or @FILE')
    asked.add_argument("-s", "--system", metavar="TEMPLATE", help="the system message; or @FILE")
    asked.add_argument("--schema", metavar="SCHEMA", help='answers in JSON: "tone, score int", a JSON Schema, its file')
    asked.add_argument(
        "--repair", type=int, default=0, metavar="N", help="retries of an answer that does not fit --schema"
    )
    asked.add_argument("--temperature", type=float, metavar="NUMBER", help="temperature")
    asked.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of an answer; a budget needs it")
    how = parser.add_argument_group("how")
    how.add_argument("--backend", choices=("online", "batch"), default="online", help="(%(default)s)")
    how.add_argument("--concurrency", type=int, metavar="N", help="most requests in progress; learned if not given")
    how.add_argument("--budget-tokens", type=int, metavar="N", help="most tokens of all runs")
    how.add_argument("--budget-rubles", type=float, metavar="N", help="most roubles of all runs; needs --price")
    how.add_argument("--price", type=float, nargs=2, metavar=("IN", "OUT"), help="roubles for 1000 tokens of the model")
    how.add_argument("--cache", metavar="FILE", help="SQLite file with responses, for requests that come again")
    how.add_argument(
        "--retries", type=int, default=2, metavar="N", help="retries after transient failures (%(default)s)"
    )
    how.add_argument("--ordered", action="store_true", help="sort the results by row at the end")
    how.add_argument("--retry-failed", action="store_true", help="ask failed rows of an earlier run again")
    how.add_argument("--overwrite", action="store_true", help="replace the output of another job")
    how.add_argument("--quiet", action="store_true", help="show no progress")
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Ask for the rows."""
    from gigachat import bulk

    if options.output == "-":
        raise ValueError("-o takes a file: the next run needs it to continue")
    output = path_of(options.output)
    check_output(output)
    source = options.file if options.file == "-" else path_of(options.file)
    asked = _job_options(options)
    with client(options, model=options.model) as giga:
        try:
            report = bulk.run(
                source,
                output,
                giga=giga,
                backend=options.backend,
                input_format=options.format,
                ordered=options.ordered,
                retry_failed=options.retry_failed,
                overwrite=options.overwrite,
                progress=None if options.quiet else True if is_terminal(sys.stderr) else "lines",
                **asked,
            )
        except KeyboardInterrupt:
            print_error("interrupted: the same command continues")
            raise
    return _print_report(report, options)


def _job_options(options: argparse.Namespace) -> dict[str, Any]:
    from gigachat.bulk import Budget

    asked: dict[str, Any] = {
        "task": options.task,
        "prompt": _template(options.prompt),
        "system": _template(options.system),
        "model": options.model,
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
        "concurrency": "learn" if options.concurrency is None else options.concurrency,
        "retries": options.retries,
        "cache": None if options.cache is None else path_of(options.cache),
    }
    if options.schema is not None:
        from gigachat.cli.schemas import answer_type

        asked["into"] = answer_type(options.schema)
        asked["repair"] = options.repair
    elif options.repair:
        raise ValueError("--repair needs --schema")
    if options.budget_tokens is not None or options.budget_rubles is not None:
        asked["budget"] = Budget(tokens=options.budget_tokens, rubles=options.budget_rubles)
    if options.price is not None:
        asked["prices"] = _prices(options)
    return asked


def _prices(options: argparse.Namespace) -> dict[str, Any]:
    from datetime import UTC, datetime

    from gigachat.catalogue import Price
    from gigachat.settings import Settings

    model = options.model or Settings().model or ("Embeddings" if options.task == "embed" else "GigaChat")
    return {model.partition(":")[0]: Price(options.price[0], options.price[1], date=datetime.now(UTC).date())}


def _template(text: str | None) -> str | None:
    """Return a template; that of a file, if the text is `@` and its path."""
    if text is None or not text.startswith("@"):
        return text
    return read_file(path_of(text[1:])).rstrip("\n")


def _print_report(report: Report, options: argparse.Namespace) -> int:
    if options.json:
        print_json(
            {
                "done": report.done,
                "failed": report.failed,
                "total": report.total,
                "earlier": report.earlier,
                "cached": report.cached,
                "usage": report.usage._asdict(),
                "cost": report.cost,
                "last_failure": None if report.last_failure is None else asdict(report.last_failure),
                "refused": report.refused,
                "retries": report.retries,
                "seconds": round(report.seconds, 3),
                "stopped": report.stopped,
            }
        )
    else:
        tokens = report.usage.input_tokens + report.usage.output_tokens
        cost = "" if report.cost is None else f", {report.cost:.2f} roubles"
        print(f"{report.done} done, {report.failed} failed, {tokens} tokens{cost}")
    if report.stopped is not None:
        print_error(f"stopped: {report.stopped}")
    elif report.last_failure is not None:
        print_note(f"The last row failed with: {report.last_failure.message}")
    if report.failed:
        print_note("`--retry-failed` asks the failed rows again; the output has their errors.")
    if report.stopped is not None:
        return LIMIT if report.error is None else status_of(report.error)
    return FAILED if report.failed else OK
