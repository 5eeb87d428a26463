"""A connection: connect, supervise, reconnect, hand out channels."""

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from rpcnode.amqp.dialing import connection_errors, dial
from rpcnode.amqp.failover import Brokers
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.concurrency import (
    Event,
    GreenletExit,
    GreenThread,
    call_later,
    call_soon,
    kill,
    sleep,
    socket,
    spawn,
)
from rpcnode.exceptions import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    ConnectionLost,
)

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.2  # seconds until the first attempt to reconnect
LASTING = 1.0  # seconds after which the other connection need not wait to be tried again
STABLE = 5.0  # seconds after which a connection that is lost was a good one
CLOSE_TIMEOUT = 3.0  # seconds for the closing handshake
POLL_INTERVAL = 1.0  # seconds; transports other than ours may need to look around


class Link:
    """One supervised connection to the broker, or to one of several.

    `generation` counts its connections. What must be there on each of them is made by the
    callbacks given to `on_connected`, which the hub calls; those given to `on_lost` hear when
    one is gone. Neither may block.
    """

    def __init__(
        self, settings: BrokerSettings, purpose: str, brokers: Brokers | None = None
    ) -> None:
        self.settings = settings
        self.purpose = purpose
        self.generation = 0
        self.is_blocked = False
        self.on_connected: list[Callable[[], object]] = []
        self.on_lost: list[Callable[[ConnectionLost], object]] = []
        self._brokers = brokers or Brokers(settings)
        self._brokers.on_moved.append(partial(call_soon, self._follow))
        self._brokers.on_reached.append(self._try_now)
        self._broker = settings  # the one of the current connection
        self._is_refusal_fatal = False
        self._is_up = False
        self._changed: Event[None] = Event()
        self._first: Event[None] = Event()
        self._closing: Event[None] = Event()
        self._next_attempt: Event[None] = Event()
        self._supervisor: GreenThread | None = None
        self._failures: list[Exception] = []
        self._transport: Any = None
        self._driver: Any = None

    @property
    def is_connected(self) -> bool:
        """Whether channels can be opened now."""
        return self._is_up

    @property
    def is_closed(self) -> bool:
        """Whether there will never be a connection (any more)."""
        return self._closing.is_set()

    @property
    def frame_max(self) -> int | None:
        """The largest frame of the current connection, in bytes; None where there is no limit."""
        frame_max: int | None = getattr(self._driver, "frame_max", None)
        return frame_max

    def open(self) -> None:
        """Connect, however long that takes; later calls wait for the first.

        Raises BrokerRefused when the broker will never let us in, ConfigurationError when its
        address or the options cannot work.
        """
        self._is_refusal_fatal = True
        self.start()
        self._first.wait()
        self._first.result()

    def start(self) -> None:
        """Begin to connect, without waiting."""
        if self._supervisor is None and not self._closing.is_set():
            self._supervisor = spawn(self._supervise)

    def wait_connected(self, timeout: float | None) -> None:
        """Wait until there is a connection; raise BrokerUnavailable after `timeout` seconds."""
        deadline = None if timeout is None else monotonic() + timeout
        while not self._is_up:
            if self._closing.is_set():
                raise BrokerUnavailable(f"the connection to the broker was closed{self._reason}")
            if not self._changed.wait(None if deadline is None else deadline - monotonic()):
                raise self.unavailable()

    def unavailable(self) -> BrokerUnavailable:
        """Return the error for those who have waited long enough."""
        reason = self._reason or f" {self.settings.safe_uri}"
        return BrokerUnavailable(f"no connection to the broker{reason}")

    @property
    def _reason(self) -> str:
        return f": {'; '.join(map(str, self._failures))}" if self._failures else ""

    def channel(self, timeout: float | None = None) -> Any:
        """Return a new kombu channel.

        Raises BrokerUnavailable when there is no connection within `timeout` seconds, and
        ConnectionLost when it breaks.
        """
        self.wait_connected(timeout)
        try:
            return self._transport.create_channel(self._driver)
        except connection_errors(self._transport) as exc:
            raise ConnectionLost(f"opening a channel: {exc}") from exc

    def abort(self, reason: str) -> None:
        """Cut the connection; the supervisor makes a new one."""
        logger.warning("cutting the %s connection: %s", self.purpose, reason)
        if self._driver is not None and self.settings.is_amqp:
            self._driver.abort()

    def close(self) -> None:
        """Say goodbye to the broker, and do not come back."""
        if not self._closing.set():
            return
        self._first.fail(BrokerUnavailable("the connection was closed while it was made"))
        self._changed.set()
        supervisor = self._supervisor
        if supervisor is None:
            return
        done: Event[None] = Event()
        supervisor.link(lambda _thread: done.set())
        self._start_closing(supervisor)
        if not done.wait(CLOSE_TIMEOUT):
            kill(supervisor)
            done.wait(CLOSE_TIMEOUT)

    def _start_closing(self, supervisor: GreenThread) -> None:
        driver = self._driver
        if driver is None:
            kill(supervisor)  # between two connections, or in the middle of making one
            return
        try:
            if self.settings.is_amqp:
                driver.start_closing()
            else:
                self._transport.close_connection(driver)
        except connection_errors(self._transport) as exc:
            logger.debug("closing the %s connection: %s", self.purpose, exc)

    def _supervise(self) -> None:
        delay = FIRST_DELAY
        while not self._closing.is_set():
            if self._try_to_connect(delay):
                began = monotonic()
                self._serve()
                if monotonic() - began > STABLE:
                    delay = FIRST_DELAY
            self._pause(delay * random.uniform(0.5, 1))
            delay = min(delay * 2, self.settings.reconnect_max_delay)

    def _pause(self, seconds: float) -> None:
        """Wait until it is time for the next attempt, at the latest when the other one lasts."""
        self._next_attempt = Event()
        if not self._closing.is_set():
            self._next_attempt.wait(seconds)

    def _try_now(self) -> None:
        self._next_attempt.set()

    def _try_to_connect(self, delay: float) -> bool:
        """Connect to the first broker that lets us in; give up where no attempt can help."""
        failures: list[Exception] = []
        for broker in self._brokers.in_order():
            if failures:
                self._log_failure(failures[-1], f"Trying {broker.safe_uri}")
            try:
                self._transport, self._driver = dial(broker, self._blocked, self._unblocked)
            except (BrokerError, ConfigurationError) as exc:
                failures.append(exc)
                self._failures = failures
            else:
                self._failures = []
                self._broker = broker
                return True
        if not (all(map(self._is_hopeless, failures)) and self._give_up(failures[-1])):
            self._log_failure(failures[-1], f"Trying again in about {delay:.1f} s")
        return False

    def _is_hopeless(self, failure: Exception) -> bool:
        is_refusal = isinstance(failure, BrokerRefused)
        return isinstance(failure, ConfigurationError) or (self._is_refusal_fatal and is_refusal)

    def _give_up(self, error: Exception) -> bool:
        """Fail those who wait for the first connection; return False when there was one."""
        if not self._first.fail(error):
            return False
        self._closing.set()
        self._changed.set()
        return True

    def _log_failure(self, failure: Exception, what_next: str) -> None:
        if isinstance(failure, BrokerUnavailable):
            logger.warning(
                "%s; is it running, is the address right (--broker, AMQP_URI, --config)? %s",
                failure,
                what_next,
            )
        else:
            logger.error("%s. %s", failure, what_next)

    def _serve(self) -> None:
        """Use one connection until it is lost."""
        self.generation += 1
        driver = self._driver
        reader = spawn(self._read, self._transport, driver)
        helpers = [reader]
        if self.settings.is_amqp:
            driver.start_reading(reader)
            helpers.append(spawn(self._beat, driver))
        # Not at once: two that are made and lost again would wake each other without a pause.
        lasting = call_later(LASTING, self._brokers.reached)
        try:
            self._announce()
            error = reader.wait()
            if not self._closing.is_set():
                logger.warning(
                    "lost the %s connection to %s: %s", self.purpose, self._broker.safe_uri, error
                )
        finally:
            lasting.cancel()
            for helper in helpers:
                kill(helper)
            self._forget_connection()

    def _announce(self) -> None:
        self._is_up = True
        self._changed.set()
        self._first.set()
        level = logging.INFO if self._brokers.are_several else logging.DEBUG
        broker = self._broker.safe_uri
        logger.log(level, "the %s connection to %s is up", self.purpose, broker)
        self._brokers.use(self._broker)
        for callback in list(self.on_connected):
            call_soon(callback)

    def _mark_down(self) -> None:
        if self._is_up:  # those who wait for the next connection keep their event
            self._is_up = False
            self._changed = Event()
        if self._closing.is_set():
            self._changed.set()

    def _forget_connection(self) -> None:
        self._mark_down()
        self._driver = self._transport = None
        self.is_blocked = False
        error = ConnectionLost(f"the connection to {self._broker.safe_uri} was lost")
        for callback in list(self.on_lost):
            try:
                callback(error)
            except Exception:  # the others must hear of it, too
                logger.error("%r failed", callback, exc_info=True)

    def _read(self, transport: Any, driver: Any) -> BaseException:
        """Read until the connection ends; return why it ended."""
        error: BaseException = ConnectionLost("the connection was closed")
        try:
            self._read_on(transport, driver)
        except (GreenletExit, KeyboardInterrupt):
            raise
        except connection_errors(self._transport) as exc:
            error = exc
        except BaseException as exc:  # whatever it is, this connection is over
            error = exc
            logger.error("reading the %s connection failed", self.purpose, exc_info=True)
        finally:
            self._mark_down()
            if self.settings.is_amqp:
                driver.fail_waiters(error)
        return error

    def _read_on(self, transport: Any, driver: Any) -> None:
        if self.settings.is_amqp or self.settings.is_embedded:
            while True:
                transport.drain_events(driver)
        while not self._closing.is_set():
            with suppress(socket.timeout):
                transport.drain_events(driver, timeout=POLL_INTERVAL)

    def _beat(self, driver: Any) -> None:
        while pause := driver.heartbeat / 4:
            due = monotonic() + pause
            sleep(pause)
            if monotonic() > due + pause:
                # Somebody kept the hub: what has come meanwhile has to be read before it counts.
                sleep(0)
            try:
                driver.heartbeat_tick(rate=2)
            except connection_errors(self._transport) as exc:
                self.abort(str(exc))
                return

    def _follow(self) -> None:
        """Go where the other connection of the process has gone."""
        if self._is_up and self._broker is not self._brokers.in_use:
            self.abort(f"the process has moved to {self._brokers.in_use.safe_uri}")

    def _blocked(self, reason: str) -> None:
        self.is_blocked = True
        logger.warning("the broker %s blocks publishers: %s", self._broker.safe_uri, reason)

    def _unblocked(self) -> None:
        self.is_blocked = False
        logger.info("the broker %s takes messages again", self._broker.safe_uri)
