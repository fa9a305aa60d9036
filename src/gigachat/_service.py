"""Facts about the GigaChat service that the client and the local server share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


# Addresses (reference, section 1.1)

API_PATH = "/api/v1"
OAUTH_PATH = "/api/v2/oauth"
BASE_URL = f"https://gigachat.devices.sberbank.ru{API_PATH}"
NEWER_BASE_URL = "https://api.giga.chat/v1"
AUTH_URL = f"https://ngw.devices.sberbank.ru:9443{OAUTH_PATH}"
SECONDS_TO_MILLISECONDS_THRESHOLD = 10**10  # an expiry below it is in seconds, whatever its field is called
_DOMAINS = ("devices.sberbank.ru", "giga.chat", "sberdevices.ru")


def is_vendor_host(host: str) -> bool:
    """Whether a host name is one of the vendor's domains or below one.

    Only these hosts get the Russian root certificate, and only they always require authorization.
    """
    host = host.lower().rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in _DOMAINS)


# Accounts (reference, section 1.3)

SCOPE = "GIGACHAT_API_PERS"
SCOPES = (SCOPE, "GIGACHAT_API_B2B", "GIGACHAT_API_CORP")
"""Scopes of persons, of companies with packages of tokens, and of companies that pay as they go."""

# Functions (reference, section 4.4)

FUNCTION_NAME = r"[A-Za-z_.\-][A-Za-z0-9_.\-]*"
"""Pattern of a function's name."""

# Tools of chats v2 (reference, section 5.4)

TOOLS = (
    "web_search",
    "url_content_extraction",
    "code_interpreter",
    "image_generate",
    "model_3d_generate",
    "get_datetime",
    "memory",
)

# Files (reference, section 9.2)


class FileKind(NamedTuple):
    """Files with the same size limit.

    Attributes:
        name: What these files are.
        megabytes: Largest size.
        types: MIME type by extension, in the service's own spelling.
        other_types: Further MIME types that the service accepts.
    """

    name: str
    megabytes: int
    types: Mapping[str, str]
    other_types: tuple[str, ...] = ()

    @property
    def limit(self) -> int:
        """Largest size in bytes."""
        return self.megabytes * 1024 * 1024


_FILE_KINDS = (
    FileKind(
        "text",
        40,
        {
            ".txt": "text/plain",
            ".doc": "application/msword",
            ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ".pdf": "application/pdf",
            ".epub": "application/epub",
            ".ppt": "application/ppt",
            ".pptx": "application/pptx",
            ".xlsx": "application/vnd.ms-excel",
            ".xls": "application/vnd.ms-excel",
        },
    ),
    FileKind(
        "image",
        15,
        {
            ".jpg": "image/jpeg",
            ".jpeg": "image/jpeg",
            ".png": "image/png",
            ".tif": "image/tiff",
            ".tiff": "image/tiff",
            ".bmp": "image/bmp",
        },
    ),
    FileKind(
        "audio",
        35,
        {
            ".mp4": "audio/mp4",
            ".mp3": "audio/mp3",
            ".m4a": "audio/x-m4a",
            ".wav": "audio/wav",
            ".weba": "audio/webm",
            ".webm": "audio/webm",
            ".ogg": "audio/x-ogg",
            ".opus": "audio/opus",
        },
        ("audio/x-wav", "audio/wave", "audio/x-pn-wav"),
    ),
)
FILE_TYPES = {extension: mime for kind in _FILE_KINDS for extension, mime in kind.types.items()}
"""MIME types by extension."""
FILE_KINDS = {mime: kind for kind in _FILE_KINDS for mime in (*kind.types.values(), *kind.other_types)}
"""Kinds of files by MIME type."""
MOST_MEDIA_MEGABYTES = 80
"""The images and audio of a request are smaller than this together (reference, section 6)."""

# Batches (reference, section 11)

BATCH_METHODS = ("chat_completions", "embedder")
MOST_BATCH_REQUESTS = 500

# Responses

MOST_ERROR_BYTES = 1024 * 1024
"""Longest body of an error or of a sign-in that is read."""
