"""Connections on which more came than was asked for. What is left over would be taken for the next request's answer.

The library looks whether an idle connection's socket has something to read, and drops it then; it does not look at what
it has read already. It offers no way to ask: where its parts have other names, connections are used as it sees fit.
"""

from __future__ import annotations

import weakref
from typing import Any

__all__ = ["watch"]

_WAY = ("stream", "_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state")


def watch(response: Any) -> None:
    """Have the connection of an answer dropped if something is left over when it is idle."""
    parser = response
    for name in _WAY:
        parser = getattr(parser, name, None)
    network = response.extensions.get("network_stream")
    if parser is None or network is None or "get_extra_info" in vars(network):
        return
    known: weakref.ref[Any] = weakref.ref(network)  # no circle, so that a forgotten connection is freed at once

    def get_extra_info(name: str) -> Any:
        if name == "is_readable" and parser.trailing_data[0]:
            return True
        network = known()
        return network and type(network).get_extra_info(network, name)

    network.get_extra_info = get_extra_info
