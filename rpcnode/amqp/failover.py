"""Which of several brokers is in use."""

from collections.abc import Callable

from rpcnode.amqp.settings import BrokerSettings


class Brokers:
    """The brokers that the connections of a process may go to, and the one in use.

    All connections go to the same one. Brokers that form no cluster share no queues: who
    publishes a request at one of them and awaits the reply at another waits in vain.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._all = settings.alternates()
        self.in_use = self._all[0]
        # Called at once, so they must not block.
        self.on_moved: list[Callable[[], object]] = []
        self.on_reached: list[Callable[[], object]] = []

    @property
    def are_several(self) -> bool:
        """Whether there is another one to go to."""
        return len(self._all) > 1

    def in_order(self) -> list[BrokerSettings]:
        """Return them as they are to be tried: the one in use, then those after it, in a circle.

        A connection that was merely cut comes back to where the queues are.
        """
        start = self._all.index(self.in_use)
        return [*self._all[start:], *self._all[:start]]

    def use(self, broker: BrokerSettings) -> None:
        """Take note that a connection is made; the others are told when they have to follow."""
        if broker is not self.in_use:
            self.in_use = broker
            for callback in self.on_moved:
                callback()

    def reached(self) -> None:
        """Take note that a connection lasts; those that wait for their next attempt hear of it."""
        for callback in self.on_reached:
            callback()
