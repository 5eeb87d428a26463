"""A runner for the services that a command names."""

import argparse
import logging
from collections.abc import Iterable
from time import monotonic

from rpcnode.amqp.memory import count_ready, count_undone
from rpcnode.cli.options import config_from, is_embedded, set_up_logging
from rpcnode.cli.services import find_services
from rpcnode.concurrency import sleep
from rpcnode.config import Config, use_as_default
from rpcnode.runners import ServiceRunner

logger = logging.getLogger(__name__)

POLL_INTERVAL = 0.01  # seconds


def prepare(options: argparse.Namespace, log_level: int) -> Config:
    """Return the configuration, after the process was told: modules may use it at import."""
    config = config_from(options)
    set_up_logging(config, log_level)
    use_as_default(config)
    return config


def make_runner(config: Config, targets: Iterable[str]) -> ServiceRunner:
    """Return a runner of the services that `targets` name."""
    runner = ServiceRunner(config)
    for service_cls in find_services(targets):
        runner.add_service(service_cls)
    return runner


def stop_when_idle(runner: ServiceRunner) -> None:
    """Stop the runner; what is on its way inside the process is handled before.

    The embedded broker ends with the process, so an event that a call has just dispatched
    would be lost. It waits SHUTDOWN_TIMEOUT at most.
    """
    config = runner.config
    if is_embedded(config):
        deadline = monotonic() + config["SHUTDOWN_TIMEOUT"]
        while count_undone(config["AMQP_URI"]) and monotonic() < deadline:
            sleep(POLL_INTERVAL)
    runner.stop()
    log_lost_messages(config)


def log_lost_messages(config: Config) -> None:
    """Say what the embedded broker takes with it, now that everything has stopped."""
    count = count_ready(config["AMQP_URI"]) if is_embedded(config) else 0
    if count:
        logger.error("messages that are lost with the embedded broker: %d", count)
