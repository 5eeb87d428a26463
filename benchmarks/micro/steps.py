"""The steps of a call, and which functions belong to each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A part of a call's way; `functions` are ends of files, with beginnings of names if need be.

    The first step that claims a function has it.
    """

    name: str
    functions: tuple[str, ...]

    def claims(self, file: str, function: str) -> bool:
        """Return whether a function belongs to this step."""
        return any(_matches(each, file, function) for each in self.functions)


def _matches(pattern: str, file: str, function: str) -> bool:
    end, _, names = pattern.partition(":")
    return file.endswith(end) and (not names or function.startswith(tuple(names.split(","))))


REST = "the rest"
STEPS = (
    Step("the measurement itself", ("benchmarks/micro/feeding.py", "benchmarks/micro/call.py")),
    Step("JSON out", ("json/encoder.py", "serialization.py:Serializer.encode,_to_json")),
    Step("JSON in", ("json/decoder.py", "json/__init__.py", "rpcnode/serialization.py")),
    Step(
        "frames out: encode a publish",
        (
            "amqp/codec.py:write_publish,_frames,_publish",
            "amqp/properties.py:encode,_encode,_table,_item,_text,_short,_number,_array,_Texts",
        ),
    ),
    Step(
        "frames in: read deliveries and confirms",
        (
            *("amqp/transport.py", "amqp/content.py", "amqp/tables.py"),
            *("amqp/properties.py", "amqp/codec.py:read,_delivery,_read,_Routes"),
            "amqp/connection.py",
        ),
    ),
    Step("acks", ("amqp/codec.py:write_ack,_ack", "extensions/intake.py:Job.ack,Job._leave")),
    Step(
        "confirms",
        (
            *("amqp/confirms.py", "site-packages/amqp/channel.py"),
            "extensions/rpc_answers.py:Answers._replied",
        ),
    ),
    Step("publisher, outbox", ("amqp/publisher.py", "amqp/outbox.py", "amqp/confirming.py")),
    Step("sockets", ("amqp/sockets.py",)),
    Step(
        "from the channel to the handler",
        ("rpcnode/amqp/channel.py", "amqp/attachment.py", "amqp/consumer.py", "amqp/message.py"),
    ),
    Step("lane: a green thread for each call", ("intake.py", "lanes.py")),
    Step(
        "request: deadline, checks, context",
        ("rpc_server.py:RpcConsumer._work", "rpc_lanes.py", "signatures.py"),
    ),
    Step("request: headers", ("rpcnode/context.py", "extensions/connection.py:Messaging.headers")),
    Step("reply", ("rpc_server.py", "rpc_answers.py", "extensions/connection.py")),
    Step("worker's life", ("rpcnode/workers.py", "rpcnode/containers.py")),
    Step("proxies", ("rpcnode/proxies.py", "extensions/rpc_proxies.py")),
    Step("the call: request, time, wait", ("rpc_client.py", "publishing.py", "amqp/naming.py")),
    Step("reply table", ("extensions/replies.py", "amqp/replies.py")),
    Step("green threads, timers, events", ("rpcnode/concurrency/",)),
    Step("eventlet's hub", ("eventlet/",)),
)


def step_of(file: str, function: str) -> str:
    """Return the name of the step that a function belongs to."""
    for folder in ("eventlet/", "rpcnode/concurrency/"):
        if f"/{folder}" in file:
            file = folder
    for step in STEPS:
        if step.claims(file, function):
            return step.name
    return REST
