"""The worker of the measurements, on Celery."""

from celery.signals import worker_ready

from benchmarks.peers.celery.tasks import application, handle_for
from benchmarks.peers.conversation import read_settings, say_ready


@worker_ready.connect
def tell_ready(**_facts):
    """Say that tasks are taken now."""
    say_ready("celery", "kombu", "amqp", "billiard")


def main():
    """Work until the harness ends it."""
    settings = read_settings()
    app = application(settings["uri"])
    if settings["job"] == "events":
        handle_for(settings)
    # Without what it tells other workers, of which there are none here.
    alone = {"without_mingle": True, "without_gossip": True}
    app.Worker(pool="threads", concurrency=settings["workers"], quiet=True, **alone).start()


if __name__ == "__main__":
    main()
