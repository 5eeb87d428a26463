"""What is measured."""

from benchmarks.kinds.events import Drain, Events
from benchmarks.kinds.growth import Pending, Services
from benchmarks.kinds.http import ORDER, Http, IdleConnections
from benchmarks.kinds.lifetime import Memory, StartUp
from benchmarks.kinds.rpc import Rpc
from benchmarks.measuring import Workload

WAITING = 512  # requests that wait 50 ms at a time: 10,240 in a second at best
KB, MB = 1000, 1_000_000
SURVEY = 1  # rounds that show the shape of things, without an interval

WORKLOADS: tuple[Workload, ...] = (
    Rpc("rpc-1", "rpc", "RPC, 1 in flight, 100 B", in_flight=1),
    Rpc("rpc-100", "rpc", "RPC, 100 in flight, 100 B", in_flight=100),
    Rpc(
        "rpc-100-persistent",
        "rpc-persistent",
        "RPC, 100 in flight, 100 B, persistent",
        in_flight=100,
        is_persistent=True,
    ),
    # With more in flight, megabytes wait in every queue on the way, and it is them that is
    # measured: 100 of them are 200 MB in each process.
    Rpc("rpc-1-1mb", "rpc", "RPC, 1 in flight, 1 MB", in_flight=1, payload_size=MB),
    Rpc("rpc-10-1mb", "rpc", "RPC, 10 in flight, 1 MB", in_flight=10, payload_size=MB),
    Events("events-1", "events", "events, 1 dispatcher", dispatchers=1),
    Events("events-100", "events-concurrent", "events, 100 dispatchers", dispatchers=100),
    StartUp("start-up", "start-up", "start of a service until its first reply"),
    Rpc(
        "chain-5", "chain", "RPC through a chain of 5 services, 10 in flight", in_flight=10, chain=5
    ),
    Events("fan-out-10", "fan-out", "events to 10 services", dispatchers=10, handlers=10),
    Rpc("rpc-10", "rpc", "RPC, 10 in flight, 100 B", most_rounds=SURVEY, in_flight=10),
    Rpc("rpc-1000", "rpc-many", "RPC, 1000 in flight, 100 B", most_rounds=SURVEY, in_flight=1000),
    *(
        Rpc(
            f"rpc-{in_flight}-10kb",
            "rpc-many" if in_flight == 1000 else "rpc",
            f"RPC, {in_flight} in flight, 10 KB",
            most_rounds=SURVEY,
            in_flight=in_flight,
            payload_size=10 * KB,
        )
        for in_flight in (1, 10, 100, 1000)
    ),
    Rpc(
        "rpc-100-default",
        "rpc",
        "RPC, 100 in flight, 100 B, default workers",
        most_rounds=SURVEY,
        only=("rpcnode", "nameko"),
        why="its workers are not called so, or have no default",
        in_flight=100,
        workers=None,
    ),
    Drain("drain", "drain", "a queue of events that waited", most_rounds=SURVEY),
    Services("services", "services", "1 and 50 services in a process", in_flight=100),
    Pending("pending", "pending", "calls while others are pending", most_rounds=3, in_flight=10),
    Http("http-hello", "http", "HTTP, GET, text, 64 connections"),
    Http(
        "http-post",
        "http",
        "HTTP, POST, 160 bytes of JSON, 64 connections",
        path="/orders",
        method="POST",
        body=ORDER,
    ),
    Http(
        "http-wait",
        "http",
        "HTTP, GET, waits 50 ms, 512 connections",
        path="/wait",
        connections=WAITING,
        workers=WAITING + 100,
        ideal_per_second=WAITING / 0.05,
    ),
    IdleConnections("http-idle", "http-idle", "HTTP, 5,000 idle connections", most_rounds=SURVEY),
    Memory("memory", "memory", "memory after many calls", most_rounds=SURVEY, in_flight=100),
)
# Measured in quick mode, and with whom.
QUICK = (
    "rpc-1",
    "rpc-100",
    "rpc-100-persistent",
    "rpc-1-1mb",
    "events-100",
    "start-up",
    "http-hello",
    "memory",
)
QUICK_PEERS = ("rpcnode", "nameko", "faststream", "py_amqp", "librabbitmq")
