"""`rpcnode call`: call one method, print what it returns."""

import argparse
import json
import logging
import math
import sys
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from rpcnode.cli.client import Client
from rpcnode.cli.hosting import make_runner, prepare, stop_when_idle
from rpcnode.cli.options import EMBEDDED_NOTE, add_host_option, is_embedded, make_parser
from rpcnode.concurrency import Timeout
from rpcnode.config import Config, mask_uri
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable, CommandError, ConfigurationError
from rpcnode.proxies import MethodProxy
from rpcnode.runners import ServiceRunner

logger = logging.getLogger(__name__)

CALLED = 0
FAILED = 1

DESCRIPTION = """\
Call a method and print its result as JSON. Arguments are JSON, too: 3, '"text"', name=null. What
begins with a dash and is no plain number comes after `--`. The exit code is 0 for a result, 1 for
an error of the call."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parse(arguments)
    service_name, method_name = _split(options.method)
    args, kwargs = parse_arguments(options.arguments)
    config = prepare(options, logging.WARNING)
    _note_embedded(options, config)
    runner = make_runner(config, options.host)
    method = Client(runner).rpc[service_name][method_name]
    try:
        code = _report(lambda: _call(runner, options.timeout, method, args, kwargs))
    except BaseException:
        runner.kill()
        raise
    stop_when_idle(runner)
    return code


def _report(call: Callable[[], Any]) -> int:
    try:
        result = call()
    except (BrokerRefused, ConfigurationError):
        raise
    except Exception as exc:  # whatever the remote method raised
        notes = "".join(f"; {note}" for note in getattr(exc, "__notes__", ()))
        print(f"{type(exc).__name__}: {exc}{notes}", file=sys.stderr)
        return FAILED
    print(_to_json(result), flush=True)
    return CALLED


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser("call", DESCRIPTION)
    add_host_option(parser)
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long all may take, connecting included (default: RPC_TIMEOUT)",
    )
    parser.add_argument("method", metavar="SERVICE.METHOD", help="for example orders.place")
    parser.add_argument(
        "arguments", metavar="ARGUMENT", nargs="*", help="a JSON value, or NAME=VALUE"
    )
    return parser.parse_intermixed_args(arguments)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, not {text!r}")
    return seconds


def _split(path: str) -> tuple[str, str]:
    service_name, _, method_name = path.rpartition(".")
    if not service_name or not method_name:
        raise CommandError(f"expected SERVICE.METHOD, not {path!r}")
    return service_name, method_name


def parse_arguments(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call; CommandError for what is not JSON."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            args.append(_from_json(text))
        elif name in kwargs:
            raise CommandError(f"the argument {name!r} is given twice")
        else:
            kwargs[name] = _from_json(value)
    return tuple(args), kwargs


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        as_text = json.dumps(text, ensure_ascii=False)
        raise CommandError(
            f"the argument {text!r} is not JSON ({exc}); a text is written '{as_text}'"
        ) from exc


def _note_embedded(options: argparse.Namespace, config: Config) -> None:
    if not is_embedded(config):
        return
    if not options.host:
        raise CommandError(
            "on the embedded broker only services of this process can be called: name them with "
            "--host, or another broker with --broker"
        )
    logger.setLevel(logging.INFO)
    logger.info(EMBEDDED_NOTE)


def _call(
    runner: ServiceRunner,
    timeout: float | None,
    method: MethodProxy,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    uri = mask_uri(runner.config["AMQP_URI"])
    seconds = runner.config["RPC_TIMEOUT"] if timeout is None else timeout
    began = monotonic()
    late = BrokerUnavailable(f"no connection to {uri} within {seconds} s; nothing was sent")
    with Timeout(seconds, late):
        runner.start()
    left = None if seconds is None else max(0.001, seconds - (monotonic() - began))
    return method.with_options(timeout=left)(*args, **kwargs)


def _to_json(value: Any) -> str:
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not is_unicode, default=repr)
