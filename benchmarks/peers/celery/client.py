"""The client of the measurements, on Celery."""

import threading
import time
from collections import deque

from benchmarks.peers.calling import Load
from benchmarks.peers.celery.tasks import application, echo, handle
from benchmarks.peers.conversation import payload, read_settings, stay
from benchmarks.peers.dispatching import Dispatching

TIMEOUT = 30


def call(settings):
    """Keep calls in flight, and collect their results in order: one thread has the backend."""
    load = Load(settings)
    value = payload(settings["payload_size"])
    threading.Thread(target=load.measure, daemon=True).start()
    waiting = deque()
    try:
        while not load.is_over:
            while len(waiting) < settings["in_flight"]:
                waiting.append((time.perf_counter(), echo.delay(value)))
            begin, result = waiting.popleft()
            result.get(timeout=TIMEOUT)
            load.record(time.perf_counter() - begin)
    except Exception as exc:  # whatever it is, the runner must hear of it
        load.fail(exc)


def dispatch(settings):
    """Dispatch for a while."""
    dispatching = Dispatching(settings)
    for _ in range(settings["in_flight"]):
        threading.Thread(
            target=dispatching.dispatch_repeatedly, args=(handle.delay,), daemon=True
        ).start()
    dispatching.measure(handle.delay)


def main():
    """Do the job."""
    settings = read_settings()
    application(settings["uri"])
    (dispatch if settings["job"] == "events" else call)(settings)
    stay()


if __name__ == "__main__":
    main()
