"""The client of the measurements, on Dramatiq."""

import threading

from benchmarks.peers.conversation import read_settings, stay
from benchmarks.peers.dispatching import Dispatching
from benchmarks.peers.dramatiq.actors import declare


def ignore(event):
    """Stand for the handler, which only the worker has."""


def main():
    """Dispatch one event, or for a while."""
    settings = read_settings()
    _broker, actor = declare(settings["uri"], ignore)
    dispatching = Dispatching(settings)
    if settings["job"] == "event":
        actor.send(dispatching.event())
        dispatching.say_done()
    else:
        for _ in range(settings["in_flight"]):
            threading.Thread(
                target=dispatching.dispatch_repeatedly, args=(actor.send,), daemon=True
            ).start()
        dispatching.measure(actor.send)
    stay()


if __name__ == "__main__":
    main()
