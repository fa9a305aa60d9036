"""The methods of `GigaChatServer` for tests: ordered answers and faults, received requests, assertions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from gigachat.server.orders.checks import explained
from gigachat.server.orders.faults import Fault
from gigachat.server.orders.matching import Condition, ReceivedChat, describe, read_chats
from gigachat.server.orders.queue import Events, Orders, Verdict
from gigachat.server.orders.replies import literal_event
from gigachat.server.orders.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat.server.orders.matching import When
    from gigachat.server.orders.replies import Payload
    from gigachat.server.state.requests import Received
    from gigachat.server.state.state import State


class Controls:
    """The methods of `GigaChatServer` for tests.

    Args:
        state: What the server remembers.
        orders: Where the orders are queued.
    """

    def __init__(self, state: State, orders: Orders) -> None:
        self._state = state
        self._orders = orders

    # Orders

    def reply(
        self,
        answer: str | Mapping[str, Any],
        *more: str | Mapping[str, Any],
        when: When | None = None,
        model: str | None = None,
        function: str | None = None,
        always: bool = False,
        after: float = 0.0,
    ) -> None:
        """Order the next chat answers, for plain responses and streams.

        Each order answers the first chat that it matches, the oldest order first. The orders given with `always`
        follow, the newest first. The engine answers chats that no order matches.

        Args:
            answer: The text; or a message of v1 (`content`, `function_call`, `functions_state_id`,
                `reasoning_content`, `inline_data`, `logprobs`) or of v2 (`content` as an array of parts,
                `tool_state_id`), with `finish_reason`, `error_details` and `additional_data` beside them; or a whole
                answer: one with `choices` is sent as it is, one with `messages` gets the missing fields. Calls of a
                message get ids. The form is translated if the request is of the other version.
            more: Answers for the chats after that.
            when: Only for a chat whose last message contains this text, ignoring case, or this expression; or for
                which this function of a `ReceivedChat` returns true.
            model: Only for a chat that names this model.
            function: Only for a chat whose last message is the result of this function; or, if it is no result, that
                offers this function or built-in tool.
            always: Repeat the last of the answers.
            after: Seconds to wait before answering.

        Raises:
            ValueError: An argument is invalid; the message names it.
        """
        with explained("reply"):
            rules = [
                Rule(answer=one, after=after, when=when, model=model, function=function) for one in (answer, *more)
            ]
        for rule in rules[:-1] if always else rules:
            self._orders.replies.add(rule)
        if always:
            self._orders.always.add(rules[-1], None, first=True)

    def reply_call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        when: When | None = None,
        model: str | None = None,
        function: str | None = None,
        always: bool = False,
        after: float = 0.0,
    ) -> None:
        """Order that the next chat is answered with a call of a function; the rest is as in `reply`.

        Args:
            name: The function to call.
            arguments: Its arguments; none when None.
            when: See `reply`.
            model: See `reply`.
            function: See `reply`.
            always: See `reply`.
            after: See `reply`.

        Raises:
            ValueError: See `reply`.
        """
        call = (name, arguments or {})
        self.reply_calls(call, when=when, model=model, function=function, always=always, after=after)

    def reply_calls(
        self,
        *calls: str | tuple[str, Mapping[str, Any]],
        when: When | None = None,
        model: str | None = None,
        function: str | None = None,
        always: bool = False,
        after: float = 0.0,
    ) -> None:
        """Order that the next chat is answered with several calls at once; a chat v1 gets the first of them.

        Args:
            calls: The name of a function, or a pair of its name and arguments, for each call.
            when: See `reply`.
            model: See `reply`.
            function: See `reply`.
            always: See `reply`.
            after: See `reply`.

        Raises:
            ValueError: There is no call; and see `reply`.
        """
        if not calls:
            raise ValueError("reply_calls: give the calls")
        pairs: list[Any] = [(one, {}) if isinstance(one, str) else one for one in calls]
        if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
            raise ValueError("reply_calls: a call is the name of a function, or a pair of its name and arguments")
        made = {"function_calls": [{"name": name, "arguments": arguments} for name, arguments in pairs]}
        self.reply(made, when=when, model=model, function=function, always=always, after=after)

    def verdict(
        self,
        *,
        is_profane: bool | None = None,
        category: Literal["ai", "human", "mixed"] | None = None,
        ai_intervals: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Order the verdict of the next `/filter/check` or `/ai/check`; without one a text is clean and of a person.

        Args:
            is_profane: Verdict of the filter.
            category: Verdict of the check for machine-made texts.
            ai_intervals: Where the text is machine-made: first and last character, from 1.

        Raises:
            ValueError: Neither or both of `is_profane` and `category` are given, or a value is invalid.
        """
        with explained("verdict"):
            self._orders.verdicts.add(Verdict(is_profane=is_profane, category=category, ai_intervals=ai_intervals))

    def fail(
        self,
        status: int | None = None,
        message: str | None = None,
        *,
        path: str | None = None,
        times: int | None = 1,
        probability: float = 1.0,
        code: int | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | str | None = None,
        delay: float | None = None,
        expired_token: bool = False,
        cut_bytes: int | None = None,
        cut_events: int | None = None,
        drip: float | None = None,
        garbage: bool = False,
        content_type: str | None = None,
    ) -> None:
        """Order faults of the next requests: an error instead of an answer, or a damaged answer.

        Args:
            status: HTTP status of an error; None lets the request be answered.
            message: Text; the service's usual one for the status when None.
            path: End of the path of the requests it is for; any when None.
            times: How many requests; all when None.
            probability: Share of those requests, from 0 to 1.
            code: Number for the OAuth gateway's error shape.
            body: Bytes to send instead of any JSON; HTML unless they look like JSON.
            headers: Headers to add or replace.
            retry_after: The header `Retry-After`: seconds, or a date.
            delay: Seconds to wait before answering.
            expired_token: 401 as for a token that has expired.
            cut_bytes: Bytes of the body after which the connection is closed.
            cut_events: Events of a stream after which the connection is closed; it is for streams only.
            drip: Seconds before each single byte of the body.
            garbage: Random bytes in the place of the body.
            content_type: Instead of the right content type.

        Raises:
            ValueError: A value is invalid, or the fault has no effect; the message names it.
        """
        with explained("fail"):
            fault = Fault(
                path=path,
                times=times,
                probability=probability,
                delay=delay,
                status=status,
                message=message,
                code=code,
                body=body,
                headers=dict(headers or {}),
                retry_after=retry_after,  # type: ignore[arg-type] # its validator accepts a number
                expired_token=expired_token,
                cut_bytes=cut_bytes,
                cut_events=cut_events,
                drip=drip,
                garbage=garbage,
                content_type=content_type,
            )
        self.add_fault(fault)

    def add_fault(self, fault: Fault) -> None:
        """Order a fault, as `fail` does; those of a file are read by `faults.faults_from_file`."""
        self._orders.faults.add(fault, fault.times)

    def delay(self, seconds: float, *, path: str | None = None, times: int = 1) -> None:
        """Order a pause before the next `times` responses to paths that end with `path`; see `fail`."""
        self.fail(delay=seconds, path=path, times=times)

    def cut(self, after_events: int = 3) -> None:
        """Order that the connection of the next stream closes after so many events; see `fail`."""
        self.fail(cut_events=after_events)

    def stream_events(self, payloads: Sequence[Payload], *, keep_open: bool = False) -> None:
        """Order the next stream literally.

        Args:
            payloads: Bytes are sent as they are, each item in a chunk of its own; a text becomes one `data:` line, a
                dictionary the JSON of one event, a pair of a name and a dictionary a named event as v2 sends them.
                Nothing is added, `[DONE]` neither.
            keep_open: Leave body and connection open after them.

        Raises:
            ValueError: A payload is not one of these.
        """
        if isinstance(payloads, (str, bytes, Mapping)) or not isinstance(payloads, Iterable):
            raise ValueError("stream_events: write a list of events")
        try:
            events = [literal_event(one) for one in payloads]
        except ValueError as error:
            raise ValueError(f"stream_events: {error}") from None
        self._orders.streams.add(Events(events, keep_open))

    def spend(self, package: str, tokens: int) -> None:
        """Subtract tokens from a package of the balance: `GigaChat`, `GigaChat-Pro`, `GigaChat-Max` or `embeddings`.

        Raises:
            ValueError: There is no such package, or the number is invalid.
        """
        self._state.spend(package, tokens)

    def revoke_tokens(self) -> None:
        """Revoke every token issued so far: requests with them get 401."""
        self._state.tokens.clear()

    # Received requests

    @property
    def requests(self) -> list[Received]:
        """The requests received so far, oldest first."""
        return self._state.journal.all()

    @property
    def requests_in_progress(self) -> list[Received]:
        """The requests whose response has neither ended nor been cut off, oldest first."""
        return self._state.journal.in_progress()

    def requests_to(self, path: str) -> list[Received]:
        """Return the requests whose path ends with `path`."""
        return [request for request in self.requests if request.path.endswith(path)]

    @property
    def chats(self) -> list[ReceivedChat]:
        """The chats among `requests`, of both versions, parsed; also those that got an error."""
        return read_chats(self.requests)

    def assert_asked(
        self,
        when: When | None = None,
        *,
        model: str | None = None,
        function: str | None = None,
        times: int | None = None,
    ) -> ReceivedChat:
        """Check that a matching chat was received, and return the last one.

        Args:
            when: A text or expression that the last message contains, or a function of a `ReceivedChat`; see `reply`.
            model: The model the chat named.
            function: A function or built-in tool the chat offered, or whose result was its last message; see `reply`.
            times: Number of chats that must match, one or more; any number when None.

        Raises:
            AssertionError: No chat matches, or another number. The message lists the received chats.
            ValueError: An argument is invalid.
        """
        __tracebackhide__ = True
        if times is not None and times < 1:
            raise ValueError("assert_asked: times is 1 or more; assert_nothing_asked() checks that no chat came")
        with explained("assert_asked"):
            condition = Condition(when=when, model=model, function=function)
        requests = self.requests
        chats = read_chats(requests)
        fitting = [chat for chat in chats if condition.fits(chat)]
        if fitting and times in (None, len(fitting)):
            return fitting[-1]
        words = "no chat asked" if not fitting else f"asked {len(fitting)} times, not {times}:"
        raise AssertionError(f"{words} {condition}; {describe(chats, requests, when)}")

    def assert_nothing_asked(self) -> None:
        """Check that no chat was received.

        Raises:
            AssertionError: A chat was received. The message lists the received chats.
        """
        __tracebackhide__ = True
        chats = self.chats
        if chats:
            raise AssertionError(describe(chats, ()))

    def clear(self) -> None:
        """Remove received requests and orders. Tokens stay valid."""
        self._state.journal.clear()
        self._orders.clear()
