"""What other threads have for the I/O thread, and how they wake it."""

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Task = tuple[Callable[[Any], object], Any]  # a function and its argument


class Inbox:
    """Tasks from any thread, for one thread; it is woken unless it is awake.

    There are no locks: appending to a deque is one step of the interpreter, and whoever finds
    the flag down wakes the thread, once too often at worst.
    """

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()
        self._waker, self._wakened = socket.socketpair()
        self._waker.setblocking(False)
        self._wakened.setblocking(False)
        self._is_awake = True
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def fileno(self) -> int:
        """Return what becomes readable when the thread is to wake."""
        return self._wakened.fileno()

    def put(self, function: Callable[[Any], object], argument: Any = None) -> bool:
        """Have the thread call `function(argument)`; return False when it never will."""
        task = (function, argument)
        self._tasks.append(task)
        if self.is_closed:
            return not self._took_back(task)
        if not self._is_awake:
            self._is_awake = True
            self.wake()
        return True

    def _took_back(self, task: Task) -> bool:
        try:
            self._tasks.remove(task)
        except ValueError:  # whoever closed the inbox has found it there
            return False
        return True

    def wake(self) -> None:
        """Wake the thread."""
        with suppress(OSError):  # it is awake in any case, or over
            self._waker.send(b"\0")

    def may_sleep(self) -> bool:
        """Return whether there is nothing to do; from then on, a new task wakes the thread."""
        self._is_awake = False
        if self._tasks:
            self._is_awake = True
            return False
        return True

    def woken(self) -> None:
        """Take note that the thread is awake."""
        self._is_awake = True

    def clear_wakes(self) -> None:
        """Take what has woken the thread."""
        with suppress(BlockingIOError):
            self._wakened.recv(4096)

    def take(self) -> list[Task]:
        """Remove and return what is there."""
        tasks = self._tasks
        return [tasks.popleft() for _ in range(len(tasks))]

    def close(self) -> None:
        """Take no more tasks; what is left can still be taken."""
        self.is_closed = True

    def forget(self) -> None:
        """Let go of the sockets."""
        self._waker.close()
        self._wakened.close()
