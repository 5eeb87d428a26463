"""The tasks of the measurements, on Celery."""

from celery import Celery, shared_task

from benchmarks.peers.dispatching import Handling

HANDLING = []


def application(uri):
    """Return the application, for the worker and for the client."""
    app = Celery("bench", broker=uri, backend="rpc://")
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        task_acks_late=True,
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # what it says is for the harness
    )
    app.set_default()
    return app


def handle_for(settings):
    """Let the handler note its events."""
    HANDLING.append(Handling(settings))


@shared_task
def echo(value):
    """Return `value`."""
    return value


@shared_task(ignore_result=True)
def handle(event):
    """Note that the event was handled."""
    HANDLING[0].handle(event)
