"""A cluster of RabbitMQ servers of our own: three nodes, on loopback, that share one port mapper.

The nodes have no plugins and small logs, so that three of them fit into a test.
"""

import os
import signal

from tests.rabbitmq_server import RabbitServer

# Of the write-ahead log of quorum queues a node keeps a whole one in memory: 512 MB are usual.
CONFIG = """\
[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {amqp_port}}}]}},
            {{cluster_nodes, {{['{first}', '{node}'], disc}}}},
            {{cluster_partition_handling, ignore}}]}},
 {{ra, [{{wal_max_size_bytes, 16777216}}]}}].
"""


class Node(RabbitServer):
    """One node; `first` is the one that the others join, and that has their port mapper."""

    def __init__(self, first: "Node | None" = None) -> None:
        super().__init__()
        self.plugins = ()
        self._first = first or self
        self.cookie = self._first.cookie
        self.epmd_port = self._first.epmd_port

    def kill(self) -> None:
        """End it at once, as a power cut does; its data stay for `resume`."""
        os.kill(self.pid, signal.SIGKILL)
        self.halt()

    def _write_config(self) -> None:
        config = CONFIG.format(amqp_port=self.amqp_port, first=self._first.node, node=self.node)
        (self.folder / "rabbitmq.config").write_text(config)

    def _start_epmd(self) -> None:
        if self._first is self:
            super()._start_epmd()


class RabbitCluster:
    """Three nodes that are one broker; `uri` has the addresses of all."""

    def __init__(self) -> None:
        first = Node()
        self.nodes = (first, Node(first), Node(first))
        self.uri = ";".join(node.uri for node in self.nodes)

    def start(self) -> None:
        """Start the first node, then those that join it."""
        try:
            for node in self.nodes:
                node.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all nodes, the one with the port mapper last."""
        for node in reversed(self.nodes):
            node.stop()
