"""The connections that the containers of one process share."""

from rpcnode.amqp.connection import Link
from rpcnode.amqp.failover import Brokers
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.hubwatch import HubWatch


class SharedConnection:
    """What containers of one process share: a consuming and a publishing connection.

    The second is opened when something is published first: a broker that blocks publishers
    must still see acks. Both go to the same broker, where there are several. As long as they
    are open, it is watched whether anybody keeps their heartbeats from being sent.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        brokers = Brokers(settings)
        self.consuming = Link(settings, "consuming", brokers)
        self.publishing = Link(settings, "publishing", brokers)
        self._hub_watch = HubWatch()

    def open(self) -> None:
        """Connect; raise BrokerRefused when the broker will never let us in."""
        self.consuming.open()
        self._hub_watch.start()

    def close(self) -> None:
        """Close both connections properly."""
        self._hub_watch.stop()
        self.publishing.close()
        self.consuming.close()
