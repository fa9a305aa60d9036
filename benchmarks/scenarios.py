"""What is measured, as data: for each scenario the case, the server, the systems and how often.

A scenario's samples are seconds of CPU, bytes or a ratio. Systems that are not installed are left out when it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OURS, FAST, PUBLISHED = "ours", "fast", "0.2.3"
CLIENTS = (OURS, FAST, PUBLISHED)
SYSTEMS = (*CLIENTS, "openai", "litellm", "httpcore2", "httpx2", "aiohttp", "pyreqwest", "http.client")
ENVIRONMENTS = {
    OURS: "ours",
    FAST: "ours",
    PUBLISHED: "published",
    "litellm": "litellm",
    "httpcore2": "ours",  # the same release that our client uses
    "chunks": "ours",
    "pydantic": "ours",
}
OTHER_ENVIRONMENT = "peers"

SECONDS, BYTES, RATIO = "seconds", "bytes", "ratio"


@dataclass(frozen=True)
class Scenario:
    """One line of the tables.

    Attributes:
        name: For `ONLY=` and for targets.
        title: In English and Russian.
        case: Name of a method of the systems.
        answers: First part of the path, which tells the server what to answer.
        systems: In the order of the alternation.
        server: `canned` (nginx), `own` or `tls` (nginx).
        kind: The function of `benchmarks.child` that measures.
        unit: Of the samples.
        repeats: Operations of a sample.
        together: Async operations at once.
        warm: Async operations at once before the samples, if not as many.
        turns: Samples of a system in each round.
        rounds: Most rounds.
        arguments: Of the method.
        cases: Other methods, by system.
        connections: Most connections of the client.
        fresh: Whether each sample needs a process of its own.
    """

    name: str
    title: tuple[str, str]
    case: str
    answers: str
    systems: tuple[str, ...]
    server: str = "canned"
    kind: str = "cpu"
    unit: str = SECONDS
    repeats: int = 1
    together: int = 1
    warm: int | None = None
    turns: int = 2
    rounds: int = 99
    arguments: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)
    connections: int | None = None
    fresh: bool = False


def _but(*missing: str) -> tuple[str, ...]:
    return tuple(system for system in SYSTEMS if system not in missing)


_ASYNC = _but("http.client")
_FEW = (*CLIENTS, "httpcore2")
_MANY = 1000

CALLS = (
    Scenario("chat", ("chat, blocking", "чат, блокирующий"), "chat", "chat", _but("aiohttp"), repeats=100),
    Scenario("async-1", ("chat, async", "чат, асинхронный"), "achat", "chat", _ASYNC, repeats=100),
    Scenario(
        "async-10",
        ("chat, async, 10 at once", "чат, асинхронный, 10 сразу"),
        "achat",
        "chat",
        _ASYNC,
        repeats=10,
        together=10,
    ),
    Scenario(
        "async-100",
        ("chat, async, 100 at once", "чат, асинхронный, 100 сразу"),
        "achat",
        "chat",
        _ASYNC,
        repeats=2,
        together=100,
    ),
    Scenario(
        "async-1000",
        ("chat, async, 1,000 at once", "чат, асинхронный, 1000 сразу"),
        "achat",
        "chat",
        _but("http.client", "litellm"),
        together=_MANY,
        turns=1,
        rounds=3,
    ),
    Scenario(
        "client-per-message",
        ("a new client per message, TLS", "новый клиент на каждое сообщение, TLS"),
        "client_per_message",
        "chat",
        (*CLIENTS, "httpcore2"),
        server="tls",
        repeats=5,
    ),
    Scenario(
        "agent",
        ("agent: a tool call and the answer", "агент: вызов функции и ответ"),
        "agent",
        "agent",
        CLIENTS,
        server="own",
        repeats=20,
        cases={OURS: "agent_run", FAST: "agent_run"},
    ),
    Scenario(
        "agent-by-hand",
        ("the same by hand", "то же вручную"),
        "agent",
        "agent",
        CLIENTS,
        server="own",
        repeats=20,
    ),
)

STREAMS = (
    Scenario("stream-v1", ("event of a stream v1", "событие потока v1"), "stream", "chunked", _but("aiohttp"), "own"),
    Scenario("stream-v2", ("event of a stream v2", "событие потока v2"), "stream_v2", "chunked", _FEW, "own"),
    Scenario(
        "astream-v1",
        ("event of an async stream v1", "событие асинхронного потока v1"),
        "astream",
        "chunked",
        _but("http.client", "litellm"),
        "own",
    ),
    Scenario(
        "stream-v1-whole",
        ("event of a stream v1, not chunked", "событие потока v1 без chunked"),
        "stream",
        "stream",
        _but("aiohttp", "litellm"),
    ),
    Scenario("chunks", ("100 events in memory", "100 событий в памяти"), "parse", "", ("chunks", "pydantic")),
    *(
        Scenario(
            f"dripped-{streams}-{version}",
            (
                f"event of a dripped stream {version}" + (f", {streams} at once" if streams > 1 else ""),
                f"событие потока {version} с паузами" + (f", {streams} сразу" if streams > 1 else ""),
            ),
            "astream" if version == "v1" else "astream_v2",
            f"drip-{count}-{milliseconds}",
            CLIENTS if version == "v2" else _FEW if streams == 500 else (*_FEW, "openai", "aiohttp", "pyreqwest"),
            server="own",
            together=streams,
            warm=10 if streams == 500 else None,
            turns=1,
            rounds=rounds,
            connections=streams,
        )
        for streams, count, milliseconds, rounds in ((1, 100, 5, 99), (50, 50, 20, 99), (500, 30, 100, 2))
        for version in ("v1", "v2")
    ),
)

DATA = (
    *(
        Scenario(
            f"embeddings-{texts}",
            (f"embeddings of {texts:,} texts", f"эмбеддинги {texts} текстов"),
            "embeddings",
            f"embeddings-{texts}",
            _but("aiohttp", "litellm", "httpx2"),
            turns=2 if texts == 100 else 1,
            repeats=3 if texts == 100 else 1,
            rounds=99 if texts == 100 else 3,
            arguments={"texts": texts},
        )
        for texts in (100, 1000)
    ),
    *(
        Scenario(
            f"embed-{texts}",
            (f"`embed` of {texts:,} texts", f"`embed` для {texts} текстов"),
            "embed",
            f"embeddings-{texts}",
            _FEW,
            turns=2 if texts == 100 else 1,
            repeats=3 if texts == 100 else 1,
            rounds=99 if texts == 100 else 3,
            arguments={"texts": texts},
        )
        for texts in (100, 1000)
    ),
    Scenario(
        "upload",
        ("upload of 100 MB", "загрузка файла в 100 МБ"),
        "upload",
        "upload",
        _but("litellm", "aiohttp", "pyreqwest"),
        server="own",
        turns=1,
        rounds=3,
        arguments={"path": ""},  # filled in by the run
    ),
    Scenario(
        "download",
        ("download of 100 MB to disk", "скачивание 100 МБ на диск"),
        "download",
        "file",
        _but("litellm", "aiohttp", PUBLISHED),
        turns=1,
        rounds=3,
    ),
    Scenario(
        "download-in-memory",
        ("download of 100 MB into memory", "скачивание 100 МБ в память"),
        "download_in_memory",
        "file",
        (*CLIENTS, "openai"),
        turns=1,
        rounds=3,
    ),
)

FRESH = (
    Scenario(
        "burst",
        ("call after 1,000 at once, of one before", "вызов после 1000 сразу к вызову до них"),
        "achat",
        "chat",
        CLIENTS,
        kind="after_burst",
        unit=RATIO,
        repeats=100,
        together=_MANY,
        turns=1,
        rounds=3,
        fresh=True,
    ),
    Scenario(
        "memory-client",
        ("memory of a client after its first chat", "память клиента после первого чата"),
        "chat",
        "chat",
        _but("aiohttp"),
        kind="client_memory",
        unit=BYTES,
        turns=1,
        rounds=2,
        fresh=True,
    ),
    Scenario(
        "memory-streams",
        ("memory of each of 1,000 open streams", "память каждого из 1000 открытых потоков"),
        "open_stream",
        "hold",
        (*CLIENTS, "httpcore2", "aiohttp"),
        server="own",
        kind="stream_memory",
        unit=BYTES,
        together=_MANY,
        turns=1,
        rounds=3,
        connections=2 * _MANY,
        fresh=True,
    ),
    Scenario(
        "memory-embeddings",
        ("memory of 1,000 vectors", "память 1000 векторов"),
        "embeddings",
        "embeddings-1000",
        CLIENTS,
        kind="kept_memory",
        unit=BYTES,
        turns=1,
        rounds=1,
        arguments={"texts": 1000},
        cases={OURS: "embed", FAST: "embed"},
        fresh=True,
    ),
)

SCENARIOS = (*CALLS, *STREAMS, *DATA, *FRESH)

_GIGA = "from gigachat import GigaChat"
_CLIENT = f"{_GIGA}; giga = GigaChat(base_url='{{url}}/v1', access_token='t', model='GigaChat'{{option}})"
# With a model of pydantic, without which no client here answers.
_HTTP = "import httpcore2, json, pydantic; pydantic.create_model('A', x=(str, ...)); http = httpcore2.ConnectionPool()"
_POST = "json.loads(http.request('POST', '{url}/v1/chat/completions', content=b'{{}}').content)"
_OPENAI = "import openai; client = openai.OpenAI(base_url='{url}/v1', api_key='t')"
_ASK = "client.chat.completions.create(model='m', messages=[{{'role': 'user', 'content': 'x'}}])"


@dataclass(frozen=True)
class Start:
    """What a fresh interpreter does, less what a bare one takes.

    Attributes:
        name: For `ONLY=` and for targets.
        title: In English and Russian.
        programs: The code by system; `{url}` and `{option}` are filled in.
    """

    name: str
    title: tuple[str, str]
    programs: dict[str, str]
    unit: str = SECONDS
    rounds: int = 99


STARTS = (
    Start(
        "import",
        ("`import`", "`import`"),
        {**dict.fromkeys((OURS, PUBLISHED), _GIGA), "openai": "import openai", "httpcore2": "import httpcore2"},
    ),
    Start(
        "first-client",
        ("from the start to the first client", "от запуска до первого клиента"),
        {**dict.fromkeys(CLIENTS, _CLIENT), "openai": _OPENAI, "httpcore2": _HTTP},
    ),
    Start(
        "first-answer",
        ("from the start to the first answer", "от запуска до первого ответа"),
        {
            **dict.fromkeys(CLIENTS, f"{_CLIENT}; giga.chat('x')"),
            "openai": f"{_OPENAI}; {_ASK}",
            "httpcore2": f"{_HTTP}; {_POST}",
        },
    ),
)
