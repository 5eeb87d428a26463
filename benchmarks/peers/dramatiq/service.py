"""The worker of the measurements, on Dramatiq."""

from dramatiq import Worker

from benchmarks.peers.conversation import read_settings, serve
from benchmarks.peers.dispatching import Handling
from benchmarks.peers.dramatiq.actors import QUEUE, declare

THREADS = 8  # what its command line has unless told otherwise


def main():
    """Work until the harness ends it."""
    settings = read_settings()
    broker, _actor = declare(settings["uri"], Handling(settings).handle)
    Worker(broker, worker_threads=THREADS).start()
    serve("dramatiq", "pika", queue=QUEUE)


if __name__ == "__main__":
    main()
