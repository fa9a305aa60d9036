"""Private parts of a library: the only module that may touch them. Each says why, and what ends it."""

from __future__ import annotations

from operator import attrgetter

# The bytes that the parser of an idle HTTP/1.1 connection holds behind the response. httpcore2 would take them for the
# response to the next request: it looks at the socket of an idle connection, not at what the parser has been given
# already, and has no public way to ask. Report for httpcore2: "Idle connections with unread bytes in the h11 parser are
# reused". Needed until a version closes such connections; a test fails when the names change.
trailing_data = attrgetter("_connection._h11_state.trailing_data")
forwarding_trailing_data = attrgetter("_connection._connection._h11_state.trailing_data")
