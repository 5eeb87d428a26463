"""Threads that call a service from a program that is none; needs one framework alone.

`python -m benchmarks.peers.standalone_client nameko` says what is measured: one of Nameko's
proxies for each thread, because they are not safe to share; one of rpcnode's for all.
"""

import importlib
import json
import sys
import threading
import time
from typing import Any

from benchmarks.peers.conversation import payload, read_settings

WARM_UP = 20  # calls of each thread before the clock starts


def main(framework: str) -> None:
    """Make the calls that the settings ask for, and write what they took."""
    settings = read_settings()
    rpc = importlib.import_module(f"{framework}.standalone.rpc")
    shares = framework == "rpcnode"
    count = 1 if shares else settings["threads"]
    clients = [rpc.ClusterRpcProxy({"AMQP_URI": settings["uri"]}) for _ in range(count)]
    proxies = [each.start() for each in clients]
    callers = [proxies[0 if shares else number] for number in range(settings["threads"])]
    run(callers, settings, WARM_UP)
    cpu, began = time.process_time(), time.perf_counter()
    run(callers, settings, settings["calls"] // settings["threads"])
    took, cpu_took = time.perf_counter() - began, time.process_time() - cpu
    for each in clients:
        each.stop()
    print(json.dumps({"seconds": took, "cpu_seconds": cpu_took, "calls": settings["calls"]}))


def run(callers: list[Any], settings: dict[str, Any], calls: int) -> None:
    """Have each caller make so many calls in a thread of its own."""
    question = payload(settings["payload_size"])
    failures: list[str] = []

    def work(rpc: Any) -> None:
        for _ in range(calls):
            if rpc.bench.echo(question) != question:
                failures.append("a wrong answer")

    threads = [threading.Thread(target=work, args=(each,)) for each in callers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise SystemExit(failures[0])


if __name__ == "__main__":
    main(sys.argv[1])
