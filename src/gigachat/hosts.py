"""Which hosts are the vendor's. Only they get the Russian root certificate, and only they need a credential."""

from __future__ import annotations

__all__ = ["is_vendor_host"]

_DOMAINS = ("devices.sberbank.ru", "giga.chat", "sberdevices.ru")


def is_vendor_host(host: str) -> bool:
    """Whether a host name is one of the vendor's domains or below one."""
    host = host.lower().rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in _DOMAINS)
