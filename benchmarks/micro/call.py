"""What a call costs in its caller and in its service, step by step.

`python -m benchmarks.micro.call` prints two tables. No broker takes part while it is measured (see
`feeding`), so that the figures are those of rpcnode alone; what the sockets cost comes on top.
"""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from benchmarks.micro.feeding import BATCH, Confirms, Feed, acks_in, delivery
from benchmarks.micro.sampling import Samples
from benchmarks.micro.steps import step_of
from rpcnode.amqp import codec
from rpcnode.amqp.message import Outgoing
from rpcnode.concurrency import Event, sleep
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.rpc_client import RpcClient
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.runners import run_services
from rpcnode.testing.services import dummy
from tests.rabbitmq_server import RabbitServer

IN_FLIGHT = 100
ROUNDS = 5
MARK = b"\x28" + b"@" * 40  # a text of 40 bytes with its length, replaced by each correlation id
PAYLOAD = {"order": 12345, "sku": "plum", "quantity": 3, "price": 1.25, "note": "x" * 30}


class Answer(DependencyProvider):
    """Gives a worker what it answers with."""

    def get_dependency(self, worker_ctx: Any) -> Any:
        """Return a function that gives back its argument."""
        return lambda value: value


class Bench:
    """Answers with what it was given."""

    name = "bench"
    answer = Answer()

    @rpc
    def echo(self, value: Any) -> Any:
        """Return `value`."""
        return self.answer(value)


class Caller:
    """Calls the service again and again."""

    name = "caller"
    bench = RpcProxy("bench")

    @dummy
    def call(self, times: int) -> None:
        """Call so many times."""
        bench = self.bench
        for _ in range(times):
            bench.echo(PAYLOAD)


class FedService:
    """The service, whose requests are made by hand."""

    def __init__(self, uri: str, calls: int) -> None:
        self.calls = calls
        self._uri = uri
        self._acked = self._sent = self._goal = 0
        self._done: Event[None] = Event()

    def run(self) -> None:
        """Host the service, feed it, and measure it."""
        with run_services({"AMQP_URI": self._uri, "max_workers": IN_FLIGHT}, Bench) as runner:
            container = runner.service_map["bench"]
            (consumer,) = [one for one in container.extensions if isinstance(one, RpcConsumer)]
            publisher = consumer.messaging.outbox._publisher
            publisher.open(10)
            attachment = consumer._consumer._attachment
            self._channel, self._tag = attachment.channel, attachment.tag
            self._content = content(self._request(), self._channel)
            Confirms(publisher._channel._channel, 0, lambda _data: None)
            self._feed = Feed(self._channel, self._next, self._take)
            sleep(0.2)
            measure("service", self.calls, self._serve)

    def _serve(self) -> None:
        self._done, self._goal = Event(), self._acked + self.calls
        self._feed.wake()
        self._done.wait()

    def _next(self) -> bytes:
        if self._sent == self._goal or self._sent - self._acked >= IN_FLIGHT:
            return b""
        frames = []
        for _ in range(min(BATCH, self._goal - self._sent)):
            self._sent += 1
            frames += self._method(self._sent), self._content
        return b"".join(frames)

    def _method(self, number: int) -> bytes:
        return delivery(self._channel.channel_id, self._tag, number, "nameko-rpc", "bench.echo")

    def _take(self, data: bytes) -> None:
        self._acked += acks_in(data)
        if self._acked >= self._goal:
            self._done.set()
        self._feed.wake()

    def _request(self) -> Outgoing:
        now = time.time()
        properties = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 1,
            "correlation_id": "0123456789abcdef-2f",
            "reply_to": "c" * 36,
            "expiration": "30000",
            "timestamp": int(now),
            "app_id": "caller",
        }
        headers = {
            "nameko.call_id_stack": ["caller.call.0123456789abcdef-1"],
            "rpcnode-timeout-ms": 600_000,
            "rpcnode-deadline": round(now * 1000) + 600_000,
        }
        body = json.dumps({"args": [PAYLOAD], "kwargs": {}}, separators=(",", ":")).encode()
        return Outgoing("nameko-rpc", "bench.echo", body, properties, headers)


class FedCaller:
    """The caller, whose replies are made by hand."""

    def __init__(self, uri: str, calls: int) -> None:
        self.calls = calls
        self._uri = uri
        self._waiting: list[bytes] = []
        self._number = 0

    def run(self) -> None:
        """Host the caller, answer it, and measure it."""
        config = {"AMQP_URI": self._uri, "max_workers": IN_FLIGHT}
        with run_services(config, Caller, Bench) as runner:
            container = runner.service_map["caller"]
            self._container, self._entrypoint = container, container.entrypoints[0]
            (client,) = [one for one in container.extensions if isinstance(one, RpcClient)]
            self._call(1)  # opens what is opened at the first call
            attachment = client.replies._consumer._attachment
            self._channel, self._tag = attachment.channel, attachment.tag
            # In a request, the correlation id comes right before `reply_to` and its length.
            self._ids = re.compile(rb"([0-9a-f]{32})\x24" + client.replies.address.encode())
            self._head, self._tail = content(self._reply(), self._channel).split(MARK)
            Confirms(client._publisher._channel._channel, 1, self._answer)
            self._feed = Feed(self._channel, self._next, lambda _data: None)
            sleep(0.2)
            measure("client", self.calls, lambda: self._call(self.calls // IN_FLIGHT, IN_FLIGHT))

    def _call(self, times: int, workers: int = 1) -> None:
        for _ in range(workers):
            self._container.spawn_worker(self._entrypoint, (times,), {})
        self._container.default_lane.wait()

    def _answer(self, data: bytes) -> None:
        self._waiting += self._ids.findall(data)
        self._feed.wake()

    def _next(self) -> bytes:
        frames = []
        for correlation_id in self._waiting:
            self._number += 1
            # In front of the properties: kind, channel, size, class and weight, size of the body.
            size = int.from_bytes(self._head[3:7]) - len(MARK) + 1 + len(correlation_id)
            frames += (
                delivery(self._channel.channel_id, self._tag, self._number + 1, "", "reply"),
                self._head[:3] + size.to_bytes(4) + self._head[7:],
                bytes([len(correlation_id)]) + correlation_id + self._tail,
            )
        self._waiting.clear()
        return b"".join(frames)

    def _reply(self) -> Outgoing:
        properties = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 1,
            "correlation_id": MARK[1:].decode(),
            "message_id": "0123456789abcdef-2f",
            "timestamp": int(time.time()),
            "app_id": "bench",
        }
        body = json.dumps({"result": PAYLOAD, "error": None}, separators=(",", ":")).encode()
        return Outgoing("", "", body, properties)


def content(message: Outgoing, channel: Any) -> bytes:
    """Return the header frame and the body frame of a message."""
    frames = codec._frames(channel.channel_id, channel.connection.frame_max, message)
    return frames[codec.FRAME_OVERHEAD + int.from_bytes(frames[3:7]) :]


def measure(side: str, calls: int, work: Any) -> None:
    """Run `work`, which makes `calls` calls, once to warm up and then some times; tell the best."""
    work()
    found = []
    for _ in range(ROUNDS):
        samples = Samples()
        with samples.taken():
            begin = time.process_time()
            work()
            seconds = time.process_time() - begin
        found.append((seconds, samples))
    seconds, samples = min(found, key=lambda each: each[0])
    print(json.dumps(facts(side, calls, seconds, samples)), flush=True)
    os._exit(0)  # nobody would answer our goodbye


def facts(side: str, calls: int, seconds: float, samples: Samples) -> dict[str, Any]:
    """Return the microseconds of a call, as a whole and by step."""
    microseconds = seconds / calls * 1e6
    steps: Counter[str] = Counter()
    for (file, function), count in samples.seen.items():
        steps[step_of(file, function)] += count
    return {
        "side": side,
        "us": microseconds,
        "garbage": samples.garbage_seconds / calls * 1e6,
        "steps": {
            name: microseconds * count / steps.total() for name, count in steps.most_common()
        },
    }


def table(found: dict[str, Any]) -> str:
    """Return what was found as a table in Markdown."""
    lines = [f"| {found['side']}: a call's microseconds | {found['us']:.1f} |", "| --- | ---: |"]
    lines += [f"| {name} | {value:.1f} |" for name, value in found["steps"].items()]
    lines.append(f"| of all this, collecting garbage | {found['garbage']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure both sides, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=20_000, help="calls in each round")
    parser.add_argument("--side", choices=["service", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--uri", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        fed = FedService if options.side == "service" else FedCaller
        fed(options.uri, options.calls).run()
        return
    server = RabbitServer()
    server.start()
    try:
        for side in ("client", "service"):
            print(table(measured(side, server.uri, options.calls)), end="\n\n", flush=True)
    finally:
        server.stop()


def measured(side: str, uri: str, calls: int) -> dict[str, Any]:
    """Return the facts of one side."""
    command = [sys.executable, "-m", "benchmarks.micro.call", "--calls", str(calls)]
    done = subprocess.run(
        [*command, "--side", side, "--uri", uri], stdout=subprocess.PIPE, text=True, timeout=300
    )
    last: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return last


if __name__ == "__main__":
    main()
