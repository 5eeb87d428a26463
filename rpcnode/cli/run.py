"""`rpcnode run`: host services until a signal ends them."""

import argparse
import gc
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

from rpcnode.cli.backdoor import Backdoor, parse_address
from rpcnode.cli.hosting import log_lost_messages, make_runner, prepare
from rpcnode.cli.options import EMBEDDED_NOTE, is_embedded, make_parser
from rpcnode.concurrency import on_signals
from rpcnode.exceptions import BrokerRefused, ConfigurationError
from rpcnode.runners import ServiceRunner

logger = logging.getLogger(__name__)

STOPPED = 0
FAILED = 1
KILL_GRACE = 1.0  # seconds that a killed process has until it is ended the hard way

DESCRIPTION = """\
Host the service classes of modules until SIGTERM or Ctrl-C, then stop in good order: no new work,
and SHUTDOWN_TIMEOUT seconds for what runs. A second signal kills at once."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parse(arguments)
    config = prepare(options, logging.INFO)
    runner = make_runner(config, options.services)
    names = ", ".join(runner.service_names)
    logger.info("starting services: %s", names)
    if is_embedded(config):
        logger.info(EMBEDDED_NOTE)
    with ExitStack() as stack:
        if options.backdoor_port is not None:
            backdoor = Backdoor(options.backdoor_port, {"runner": runner})
            stack.enter_context(backdoor.serving())
        return _host(runner, names)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser("run", DESCRIPTION)
    parser.add_argument(
        "services",
        metavar="MODULE[:CLASS]",
        nargs="+",
        help="a module or package (its classes that have entrypoints), or one class of it",
    )
    parser.add_argument(
        "--backdoor-port",
        metavar="[HOST:]PORT",
        type=parse_address,
        help="a Python prompt inside the process, for telnet; on the loopback interface",
    )
    return parser.parse_args(arguments)


def _host(runner: ServiceRunner, names: str) -> int:
    signals = _Signals(runner)
    try:
        with signals.handled():
            runner.start()
            # What is there now stays. Collections of garbage, while nothing else can run, need not
            # look at it again: with 10,000 messages in hand, the longest took 50 ms, and takes 20.
            gc.freeze()
            if not signals.were_seen:
                logger.info("services are up: %s", names)
            runner.wait()
    except (BrokerRefused, ConfigurationError):
        raise
    except Exception:  # whatever a container died of
        logger.critical("services failed: %s", names, exc_info=True)
        return FAILED
    if signals.did_kill:
        logger.error("services were killed: %s", names)
        return FAILED
    log_lost_messages(runner.config)
    logger.info("services have stopped: %s", names)
    return STOPPED


class _Signals:
    """The first signal stops the runner, the second one kills it."""

    def __init__(self, runner: ServiceRunner) -> None:
        self._runner = runner
        self.were_seen = False
        self.did_kill = False
        self._count = 0

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals as long as the block runs."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        with on_signals(dict.fromkeys(numbers, self._handle)):
            for number in numbers:
                signal.signal(number, self._note)
            yield

    def _handle(self) -> None:
        if self.were_seen:
            self.did_kill = True
            self._runner.kill()
            return
        self.were_seen = True
        logger.info("stopping; a second signal kills")
        self._runner.stop()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        # A method that computes without a pause keeps the hub, and so `_handle`, from running;
        # Python's own handlers run even then.
        self._count += 1
        if self._count == 2:
            signal.signal(signal.SIGALRM, lambda *_: os._exit(FAILED))
            signal.setitimer(signal.ITIMER_REAL, KILL_GRACE)
        elif self._count > 2:
            os._exit(FAILED)
