"""Which queues there are: what commands for operators ask of RabbitMQ."""

import argparse
import logging
from typing import Any

from rpcnode.amqp.settings import settings_from
from rpcnode.cli.options import config_from, is_embedded, set_up_logging
from rpcnode.config import Config
from rpcnode.exceptions import CommandError
from rpcnode.management import Management, api_beside, vhost_of


def add_management_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the management API is."""
    parser.add_argument(
        "--management-uri",
        metavar="URI",
        help="RabbitMQ's management API (default: MANAGEMENT_URI, else port 15672 of the broker's "
        "host, 15671 where that is encrypted, with its user)",
    )


def open_config(options: argparse.Namespace) -> Config:
    """Return the configuration of a command that needs a broker outside of its process.

    Raises CommandError for the embedded broker, which is in somebody else's.
    """
    config = config_from(options)
    set_up_logging(config, logging.WARNING)
    if is_embedded(config):
        raise CommandError(
            "the embedded broker ends with its process, and nothing outside can look into it: "
            "name a RabbitMQ with --broker"
        )
    return config


def queues_of(options: argparse.Namespace, config: Config) -> list[dict[str, Any]]:
    """Return what the management API tells of the queues of the broker's virtual host.

    Raises BrokerUnavailable and BrokerRefused, which name the API.
    """
    uri = config["AMQP_URI"]
    api_uri = options.management_uri or config["MANAGEMENT_URI"]
    if api_uri is None:
        api_uri = api_beside(uri, is_encrypted=settings_from(config).is_encrypted)
    if not api_uri.startswith(("http://", "https://")):
        raise CommandError(
            "MANAGEMENT_URI and --management-uri are addresses such as http://user:password@host"
        )
    return _management(api_uri).get_queues(vhost_of(uri))


def _management(uri: str) -> Management:
    try:
        return Management(uri)
    except ValueError:  # its text may have a part of the password
        raise CommandError("MANAGEMENT_URI or --management-uri has no host, or no port") from None
