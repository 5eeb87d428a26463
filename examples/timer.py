"""Methods that nobody calls: at intervals, and at the start."""

import logging

from rpcnode.events import EventDispatcher
from rpcnode.lifecycle import on_start
from rpcnode.timer import timer

logger = logging.getLogger(__name__)


class Heartbeat:
    name = "heartbeat"
    dispatch = EventDispatcher()

    @on_start
    def hello(self):
        logger.info("everything has started")

    @timer(interval=0.1, eager=True)
    def beat(self):
        self.dispatch("beat", {})

    @timer(interval=3600, jitter=60, timeout=600, max_workers=1)
    def clean_up(self):
        logger.info("this may take up to ten minutes")
