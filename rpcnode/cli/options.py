"""Options that several commands have, and what follows from them."""

import argparse
import logging
import logging.config
import math

from rpcnode.config import Config, load
from rpcnode.exceptions import ConfigurationError

EMBEDDED_URI = "memory://"
EMBEDDED_NOTE = "the embedded broker is in use: nothing outside this process can reach its services"


def make_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a command, with the options that say where the broker is."""
    parser = argparse.ArgumentParser(prog=f"rpcnode {command}", description=description)
    parser.add_argument("-c", "--config", metavar="FILE", help="a YAML file of configuration keys")
    parser.add_argument(
        "--broker", metavar="URI", help="the broker; beats AMQP_URI of the environment and the file"
    )
    parser.add_argument(
        "-d",
        "--define",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set one key, the value in YAML; beats all else (can be repeated)",
    )
    return parser


def add_host_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that hosts services in the command's own process."""
    parser.add_argument(
        "--host",
        metavar="MODULE[:CLASS]",
        action="append",
        default=[],
        help="host these services in this process as well, on the embedded broker unless a broker "
        "is named (can be repeated)",
    )


def config_from(options: argparse.Namespace) -> Config:
    """Return the configuration that the options ask for."""
    default_uri = EMBEDDED_URI if getattr(options, "host", None) else None
    return load(
        options.config, broker=options.broker, defines=options.define, default_uri=default_uri
    )


def is_embedded(config: Config) -> bool:
    """Return whether the broker is inside this process."""
    uri: str = config["AMQP_URI"]
    return uri.lower().startswith(EMBEDDED_URI)


def set_up_logging(config: Config, level: int) -> None:
    """Log as LOGGING says, else what is at least of `level` to the standard error."""
    settings = config["LOGGING"]
    if settings is None:
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        return
    try:
        # Python's own default would silence all loggers that exist already, ours included.
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **settings})
    except (ValueError, TypeError, AttributeError, ImportError) as exc:
        raise ConfigurationError(f"LOGGING: {exc} ({config.origins['LOGGING']})") from exc


def positive_number(text: str) -> float:
    """Return the number that an option was given."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return number
