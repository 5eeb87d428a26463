"""The worker context, and how it travels in headers."""

import functools
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

CALL_ID_STACK = "call_id_stack"
TIMEOUT_HEADER = "rpcnode-timeout-ms"
DEADLINE_HEADER = "rpcnode-deadline"
DEFAULT_PARENT_CALLS_TRACKED = 10
_KNOWN_PREFIXES = ("nameko.", "rpcnode.")
_LONGEST_MS = 1e15  # 30,000 years: what is beyond is garbage


class WorkerContext:
    """What is known about one run of one method.

    - `container`, `config`, `service_name`, `entrypoint`, `args`, `kwargs`; `service` is the
      instance of the service, None until the worker has made it.
    - `context_data` (or `data`: the same live dict) travels to whoever this worker calls;
      `call_id_stack` is in it, oldest first, own `call_id` last.
    - `deadline`: the moment (of `time.monotonic`) after which nobody waits for the answer;
      None when somebody does in any case.
    - `message`: what came from the broker (`id headers redelivered exchange routing_key queue
      published`), None when this worker was not fired by a message.
    - `origin`: what the entrypoint keeps about whoever waits for the outcome; its own affair.
    - `encoded_result`: the result as the entrypoint sends it, there when it is handled.
    - `after_complete`: what is called once the outcome is a success and every
      dependency has completed; an error there becomes the worker's error.
    - `is_completed`: whether it is too late for that: the outcome is known.
    """

    def __init__(  # Nameko's signature, and what is new by keyword
        self,
        container: Any,
        service: Any,
        entrypoint: Any,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        *,
        deadline: float | None = None,
        message: Any = None,
        origin: Any = None,
        unique_id: str | None = None,
    ) -> None:
        self.container = container
        self.config = container.config
        self.service = service
        self.entrypoint = entrypoint
        self.args = args if args is not None else ()
        self.kwargs = kwargs if kwargs is not None else {}
        self.deadline = deadline
        self.message = message
        self.origin = origin
        self.encoded_result: Any = None
        self.after_complete: list[Callable[[], object]] = []
        self.is_completed = False
        unique_id = unique_id or new_call_id()
        self.call_id = f"{container.service_name}.{entrypoint.method_name}.{unique_id}"
        self.data: dict[str, Any] = {} if data is None else dict(data)
        parents = self.data.get(CALL_ID_STACK) or ()
        length = self.config.get("PARENT_CALLS_TRACKED", DEFAULT_PARENT_CALLS_TRACKED) + 1
        self.call_id_stack: list[str] = [*parents, self.call_id][-length:]
        self.data[CALL_ID_STACK] = self.call_id_stack

    def __repr__(self) -> str:
        return f"<WorkerContext {self.call_id}>"

    @property
    def service_name(self) -> str:
        """The name of the service."""
        return self.container.service_name  # type: ignore[no-any-return]  # containers check it

    @property
    def context_data(self) -> dict[str, Any]:
        """The part of the context that travels: `data` itself, not a copy."""
        return self.data

    @property
    def origin_call_id(self) -> str:
        """The first call known of the chain that led here; the own one if nobody called."""
        return self.call_id_stack[0]

    @property
    def immediate_parent_call_id(self) -> str | None:
        """The call that made this one; None if nobody did."""
        return self.call_id_stack[-2] if len(self.call_id_stack) > 1 else None

    def remaining(self) -> float | None:
        """Return the seconds left until the deadline, at least 0; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic())


class _CallIds:
    """Unique ids at the price of a counter: a random prefix for the process, and a number."""

    def __init__(self) -> None:
        self._restart()
        # A forked child counts on from the same number, so it needs another prefix.
        os.register_at_fork(after_in_child=self._restart)

    def _restart(self) -> None:
        self.next: Callable[[], str] = _count(os.urandom(8).hex()).__next__


def _count(prefix: str) -> Iterator[str]:
    return map(f"{prefix}-%x".__mod__, itertools.count(1))


_call_ids = _CallIds()  # module state, because Nameko's tests patch the function below


def new_call_id() -> str:
    """Return an id that no other call and no other process gets."""
    return _call_ids.next()


def headers_from_context(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return context data as headers: `{prefix}.{key}`; what is None stays at home."""
    return {f"{prefix}.{key}": value for key, value in data.items() if value is not None}


def context_from_headers(headers: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the context data among `headers`: what carries `prefix`, or a prefix of old.

    Foreign headers are left out, and so is a call id stack that is not a list of texts.
    """
    data: dict[str, Any] = {}
    for name, value in headers.items():
        key, is_own = _context_key(name, prefix)
        if is_own:
            data[key] = value
        elif key is not None:
            data.setdefault(key, value)
    if CALL_ID_STACK in data and not _is_call_id_stack(data[CALL_ID_STACK]):
        logger.debug("ignoring a call id stack that is not a list of texts")
        del data[CALL_ID_STACK]
    return data


@functools.lru_cache(maxsize=1024)  # there are few names, and each message has the same
def _context_key(name: Any, prefix: str) -> tuple[Any, bool]:
    """Return the key of a header in the context data, None for none; and whether it is our own."""
    if not isinstance(name, str):
        return None, False  # its bytes are no text
    own = f"{prefix}."
    if name.startswith(own):
        return name[len(own) :], True
    return (name.partition(".")[2] if name.startswith(_KNOWN_PREFIXES) else None), False


def _is_call_id_stack(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(call_id, str) for call_id in value)


def deadline_headers(remaining: float, now_unix: float) -> dict[str, int]:
    """Return the headers that tell the callee how long (seconds) the caller will wait."""
    left = max(1, round(remaining * 1000))
    return {TIMEOUT_HEADER: left, DEADLINE_HEADER: round(now_unix * 1000) + left}


def deadline_from_headers(
    headers: Mapping[str, Any], now: float, clock_skew: float | None
) -> float | None:
    """Return the deadline (of `time.monotonic`) that the headers ask for; None if they do not.

    `now` is the moment of receipt. The sender's clock may differ by `clock_skew` seconds; None
    ignores the moment by the sender's clock and takes the time it gave alone.
    """
    timeout = _milliseconds(headers.get(TIMEOUT_HEADER))
    moment = None if clock_skew is None else _milliseconds(headers.get(DEADLINE_HEADER))
    by_timeout = None if timeout is None else now + timeout
    if moment is None or clock_skew is None:
        return by_timeout
    by_clock = time.monotonic() + moment + clock_skew - time.time()
    return by_clock if by_timeout is None else min(by_timeout, by_clock)


def _milliseconds(value: Any) -> float | None:
    """Return milliseconds off the wire in seconds; None for garbage, NaN included."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value / 1000 if is_number and -_LONGEST_MS < value < _LONGEST_MS else None
