"""The connection of a client, for as long as the client lives: made, kept alive, made again."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from rpcnode.amqp.failover import Brokers
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.exceptions import BrokerUnavailable, ConnectionLost
from rpcnode.standalone.dialer import Dialer, Outcome
from rpcnode.standalone.session import CONNECTION_ERRORS, Plan, Session
from rpcnode.standalone.timers import Timers
from rpcnode.standalone.traffic import Traffic

logger = logging.getLogger(__name__)

STABLE = 5.0  # seconds after which a connection that is lost was a good one
CONFIRM_GRACE = 3.0  # seconds that a stopping client waits for the last confirms
CLOSE_TIMEOUT = 3.0  # seconds for the closing handshake

Post = Callable[[Callable[[Any], object], Any], bool]  # have the I/O thread call a function


@dataclass(frozen=True)
class StartLimit:
    """How long somebody waits for the first connection.

    Without one, `ends_all` says, nothing goes on; else only this `waiter` has an error.
    """

    seconds: float
    waiter: "Future[None]"
    ends_all: bool


class Link:
    """Keeps one connection, in the I/O thread.

    `started` is done with the first one. `is_over` says that there will be none any more,
    `failure` why there was none at all.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        make_queue: Callable[[], Any] | None,
        traffic: Traffic,
        timers: Timers,
    ) -> None:
        self.started: Future[None] = Future()
        self.failure: Exception | None = None
        self.is_over = False
        self._make_queue = make_queue
        self._last_queue: Any = None
        self._traffic = traffic
        self._timers = timers
        self._brokers = Brokers(settings)
        self._dialer = Dialer(self._brokers, settings.reconnect_max_delay)
        self._is_first = True
        self._is_stopping = False
        self._is_closing = False

    @property
    def session(self) -> Session | None:
        """The connection of the moment."""
        return self._traffic.session

    @property
    def reason(self) -> str:
        """Why there is no connection."""
        return self._dialer.reason

    def open(self, post: Post) -> None:
        """Begin to connect; `post` brings what comes of it to the I/O thread."""
        self._dialer.deliver = partial(post, self._dialed)
        self._dial()

    def limit_start(self, limit: StartLimit) -> None:
        """Tell those who wait for the start when its time is over."""
        self._timers.add(monotonic() + limit.seconds, self._give_up, limit)

    def close(self, _argument: Any = None) -> None:
        """End in good order: the last confirms come in before the connection is closed."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._traffic.end()
        if self.session is None:
            self.is_over = True
        else:
            self._timers.add(monotonic() + CONFIRM_GRACE, self._start_closing)

    def read(self) -> None:
        """Read what is there."""
        if self.session is None:
            return
        try:
            self.session.read()
        except CONNECTION_ERRORS as exc:
            self.lose(exc)
        except Exception as exc:  # whatever it is, this connection is over
            logger.error("reading failed", exc_info=True)
            self.lose(exc)

    def send(self) -> None:
        """Write what waits, and send it as far as possible."""
        session = self.session
        if session is None:
            return
        try:
            self._traffic.write_waiting()
            if self._is_stopping and not session.unconfirmed:
                self._start_closing()
            session.flush()
        except CONNECTION_ERRORS as exc:
            self.lose(exc)
            return
        if not session.is_open:
            self.lose(ConnectionLost("the connection was closed"))

    def lose(self, error: BaseException) -> None:
        """Let go of the connection, and get another one unless the client is stopping."""
        session, self._traffic.session = self.session, None
        if session is None:
            return
        session.lose(error)
        if self._is_stopping:
            self.is_over = True
            return
        logger.warning("lost the connection to %s: %s", session.broker.safe_uri, error)
        self._dial_later()

    def _dial(self, _argument: Any = None) -> None:
        if not self._is_stopping:
            self._dialer.start(Plan(self._make_queue, self._last_queue))

    def _dial_later(self) -> None:
        pause = self._dialer.next_pause()
        logger.debug("connecting again in %.1f s", pause)
        self._timers.add(monotonic() + pause, self._dial)

    def _dialed(self, outcome: Outcome) -> None:
        if isinstance(outcome, Session):
            if self._is_stopping:
                outcome.discard()
            else:
                self._use(outcome)
            return
        hopeless = self._dialer.failed(outcome, is_first=self._is_first)
        if hopeless is not None and self._is_first:
            self._fail(hopeless)
        else:
            self._dial_later()

    def _use(self, session: Session) -> None:
        self._traffic.session = session
        self._last_queue = session.reply_queue
        self._is_first = False
        self._brokers.use(session.broker)
        self._dialer.failures = []
        self._timers.add(monotonic() + STABLE, self._note_stable, session)
        if session.has_lost_replies:
            self._traffic.lose_replies()
        logger.debug("the connection to %s is up", session.broker.safe_uri)
        try:
            session.begin(self._traffic.receive, self._replies_lost)
        except CONNECTION_ERRORS as exc:
            self.lose(exc)
            return
        if not self.started.done():
            self.started.set_result(None)
        self._beat(session)

    def _note_stable(self, session: Session) -> None:
        if session is self.session:
            self._dialer.succeeded()

    def _beat(self, session: Session) -> None:
        if session is not self.session or not session.is_open:
            return
        try:
            pause = session.beat()
        except CONNECTION_ERRORS as exc:
            self.lose(exc)
            return
        if pause is not None:
            self._timers.add(monotonic() + pause, self._beat, session)

    def _replies_lost(self, reason: object) -> None:
        """Connect anew: the broker has thrown the reply consumer off."""
        session = self.session
        if session is not None and session.is_open:
            logger.warning("the broker ended the consumer of replies: %s", reason)
            self._timers.add(0, self._cut, session)  # not here, in the middle of reading

    def _cut(self, session: Session) -> None:
        if session is self.session:
            self.lose(ConnectionLost("the consumer of replies was gone"))

    def _give_up(self, limit: StartLimit) -> None:
        if not self._is_first or self.is_over:
            return
        if limit.ends_all:
            self._fail(BrokerUnavailable(self.reason))
        elif not limit.waiter.done():
            limit.waiter.set_exception(BrokerUnavailable(self.reason))

    def _fail(self, failure: Exception) -> None:
        self.failure = failure
        self._is_stopping = self.is_over = True

    def _start_closing(self, _argument: Any = None) -> None:
        if self.session is not None and not self._is_closing:
            self._is_closing = True
            self._timers.add(monotonic() + CLOSE_TIMEOUT, self._abandon)
            self.session.start_closing()

    def _abandon(self, _argument: Any) -> None:
        self.lose(ConnectionLost("the broker did not answer our goodbye"))
