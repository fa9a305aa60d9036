"""Private parts of libraries: the only module that may touch them. Each says why, and what ends it."""

from __future__ import annotations

import asyncio
from operator import attrgetter

# The bytes that the parser of an idle HTTP/1.1 connection holds behind the response. httpcore2 would take them for the
# response to the next request: it looks at the socket of an idle connection, not at what the parser has been given
# already, and has no public way to ask. Report for httpcore2: "Idle connections with unread bytes in the h11 parser are
# reused". Needed until a version closes such connections; a test fails when the names change.
trailing_data = attrgetter("_connection._h11_state.trailing_data")
forwarding_trailing_data = attrgetter("_connection._connection._h11_state.trailing_data")

# A coroutine of pyreqwest asks `asyncio.get_running_loop()` how to wake its caller, so a blocking caller must set what
# answers. Event loops of other packages are set by these functions, which asyncio exports for them under these names.
# Its blocking client is no way out: while it waits, no signal is handled and no other thread can stop it. Needed until
# pyreqwest can be woken from its blocking client; a test fails when the names change.
set_running_loop = asyncio._set_running_loop
running_loop_or_none = asyncio._get_running_loop
