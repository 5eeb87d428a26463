"""A connection that is connected to nobody: tests feed it by hand, and look at what it writes."""

from rpcnode.amqp.channel import Channel
from rpcnode.amqp.transport import Connection


class Socket:
    """A transport that keeps what is written, and gives out what a test has put into it."""

    connected = True

    def __init__(self):
        self.written = b""
        self.reads = []
        self.closed = False

    def write(self, data):
        self.written += bytes(data)

    def start_batching(self):
        return b""

    def receive(self, _size):
        return self.reads.pop(0)

    def flush(self):
        """Do nothing: all is written at once."""

    def hold_back(self):
        """Do nothing, for the same reason."""

    def close(self):
        self.closed = True


def hand_fed(*channels, **options):
    """Return a connection past its handshake with these channels open, and a reader."""
    connection = Connection("localhost:1", **options)
    connection.transport = Socket()
    connection.on_inbound_frame = connection.frame_handler_cls(
        connection, connection.on_inbound_method
    )
    connection.frame_writer = connection.frame_writer_cls(connection, connection.transport)
    connection.start_reading(object())
    for channel_id in channels:
        Channel(connection, channel_id).is_open = True
    return connection
