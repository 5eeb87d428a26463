"""An AMQP channel whose synchronous methods any green thread may call."""

from collections import deque
from typing import Any

from amqp import spec
from amqp.exceptions import RecoverableConnectionError

from rpcnode.amqp.framed_channel import FramedChannel
from rpcnode.concurrency import Event, getcurrent


class Channel(FramedChannel):
    """A channel that is read by its connection's reader, and used by anyone."""

    def __init__(self, connection: Any, channel_id: Any = None, **options: Any) -> None:
        self._awaited: dict[Any, deque[Event[Any]]] = {}
        super().__init__(connection, channel_id, **options)

    def wait(
        self, method: Any, callback: Any = None, timeout: Any = None, returns_tuple: bool = False
    ) -> Any:
        """Wait for the answer to a synchronous method; raise when the channel is lost."""
        connection = self.connection
        if connection is None:
            raise RecoverableConnectionError("the connection is closed")
        if connection.reader is None:
            return super().wait(method, callback, timeout, returns_tuple)
        if getcurrent() is connection.reader:
            raise RuntimeError("a synchronous AMQP method was called by the reader")
        answer = self._expect(method if isinstance(method, list) else [method])
        if not answer.wait(timeout):
            raise TimeoutError(f"the broker did not answer within {timeout} s")
        args = answer.result()
        if callback is not None:
            callback(*args)
        return args if returns_tuple else (args[0] if args else None)

    def _expect(self, methods: list[Any]) -> Event[Any]:
        """Return the event of the next answer that nobody else awaits.

        Answers come in the order of the questions. Whoever gives up leaves its event behind,
        so that the late answer is not taken for that to a later question.
        """
        answer: Event[Any] = Event()
        for method in methods:
            self._awaited.setdefault(method, deque()).append(answer)
            self._pending[method] = self._answered
        return answer

    def _answered(self, method: Any, *args: Any) -> None:
        waiting = self._awaited[method]
        answer = waiting.popleft()
        for others in self._awaited.values():  # a question may have several kinds of answers
            if answer in others:
                others.remove(answer)
        if waiting:
            self._pending[method] = self._answered
        answer.set(args)

    def close(self, *_args: Any) -> None:
        """Close, and wait until the broker has done so."""
        if self.start_closing():
            self.wait(spec.Channel.CloseOk)

    def fail_waiters(self, error: BaseException) -> bool:
        """Wake those who wait for an answer with `error`; return whether there were any."""
        awaited, self._awaited = self._awaited, {}
        self._pending.clear()
        failed = [one.fail(error) for waiting in awaited.values() for one in waiting]
        return any(failed)

    def _on_close_ok(self) -> None:
        self.collect()
        closing = self._awaited.pop(spec.Channel.CloseOk, deque())
        self.fail_waiters(RecoverableConnectionError("the channel was closed"))
        self._awaited[spec.Channel.CloseOk] = closing
