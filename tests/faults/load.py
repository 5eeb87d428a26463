"""Load on a service: green threads that call without a pause, and remember what came of it."""

from collections import Counter
from time import monotonic

from rpcnode.concurrency import sleep, spawn


class Load:
    """Calls `ledger.write` and dispatches events, until it is told to end.

    `returned` are the numbers that came back, `failed` pairs of number and error; `dispatched`
    are the events that the broker has confirmed. `slowest` is in seconds.
    """

    def __init__(self, services, callers=8, dispatchers=2, timeout=10):
        self.returned, self.failed, self.dispatched, self.undispatched = [], [], [], []
        self.slowest = 0.0
        self._method = services.rpc.ledger.write.with_options(timeout=timeout)
        self._dispatch = services.dispatch
        self._is_over = False
        self._numbers = iter(range(10**9))
        self._threads = [spawn(self._call) for _ in range(callers)]
        self._threads += [spawn(self._announce) for _ in range(dispatchers)]

    def end(self):
        """Let each thread finish what it is at; return this."""
        self._is_over = True
        for thread in self._threads:
            thread.wait()
        return self

    def _call(self):
        while not self._is_over:
            number = next(self._numbers)
            begin = monotonic()
            try:
                assert self._method(number) == number
                self.returned.append(number)
            except Exception as exc:
                self.failed.append((number, exc))
                sleep(0.01)
            self.slowest = max(self.slowest, monotonic() - begin)

    def _announce(self):
        while not self._is_over:
            number = next(self._numbers)
            try:
                self._dispatch("happened", number, timeout=10)
                self.dispatched.append(number)
            except Exception as exc:
                self.undispatched.append((number, exc))
                sleep(0.01)
            sleep(0.005)


class Book:
    """What the ledger's processes have noted."""

    def __init__(self, path):
        self.path = path

    def counts(self, kind):
        """Return how often each number was noted, for calls or events."""
        if not self.path.exists():
            return Counter()
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return Counter(int(number) for what, number in lines if what == kind)
