"""Place an order through the whole stack, in this process: `python -m examples.tour [SKU]`."""

import json
import shlex
import sys
import time
from pathlib import Path

from examples.shop import Mailer, Orders, Stock
from rpcnode.rpc import RpcProxy
from rpcnode.runners import ServiceRunner, run_services
from rpcnode.testing import dummy, entrypoint_hook, entrypoint_waiter

EMBEDDED_BROKER = {"AMQP_URI": "memory://tour"}
QUANTITY = 2
PATIENCE = 10  # seconds

TRY_NEXT = """\
Try next:
  {rpcnode} call --host examples.shop orders.place {argument} quantity=1000
      the same call, and an error that comes all the way back: there are only 100
  {rpcnode} shell --host examples.shop
      a prompt, with the services at work behind it: n.rpc.orders.place({sku!r})
  {rpcnode} run examples.shop
      the services alone, on the RabbitMQ of this machine (`docker compose up -d` starts one);
      then, in another terminal: {rpcnode} call orders.place {argument}
"""


class Customer:
    """Stands for whoever calls from outside."""

    name = "customer"
    orders = RpcProxy("orders", timeout=PATIENCE)

    @dummy
    def buy(self, sku):
        return self.orders.place(sku, quantity=QUANTITY)


def main(arguments: list[str]) -> int:
    """Show one order; return the exit code."""
    if len(arguments) > 1:
        print("usage: python -m examples.tour [SKU]", file=sys.stderr)
        return 2
    sku = arguments[0] if arguments else "plum"
    try:
        with run_services(EMBEDDED_BROKER, Orders, Stock, Mailer, Customer) as runner:
            show_order(runner, sku)
    except Exception as exc:  # whatever it is, it is this program's outcome
        print(f"the order of {sku!r} failed: {type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    argument = shlex.quote(as_json(sku))
    print(TRY_NEXT.format(rpcnode=command(), argument=argument, sku=sku), end="")
    return 0


def show_order(runner: ServiceRunner, sku: str) -> None:
    """Place the order, and wait until the mailer has handled the event that it led to."""
    print("The services orders, stock and mailer run in this process, on the embedded broker.\n")
    payloads = []

    def is_ours(worker_ctx, _result, _exc_info):
        payloads.extend(worker_ctx.args)
        return True

    mailer = runner.service_map["mailer"]
    with entrypoint_waiter(mailer, "send", timeout=PATIENCE, callback=is_ours) as mail:
        print(f"call   orders.place({sku!r}, quantity={QUANTITY})")
        begin = time.monotonic()
        with entrypoint_hook(runner.service_map["customer"], "buy") as buy:
            reply = buy(sku)
        took = (time.monotonic() - begin) * 1000
        print(f"reply  {as_json(reply)} after {took:.0f} ms")
    print(f"event  orders: placed {as_json(payloads[0])}")
    print(f"       handled by mailer.send: {mail.get()}\n")


def as_json(value: object) -> str:
    """Return the value as JSON, letters of all languages as they are."""
    return json.dumps(value, ensure_ascii=False)


def command() -> str:
    """Return what to type for `rpcnode`, where the virtual environment is not active either."""
    script = Path(sys.prefix, "bin", "rpcnode")
    here = Path.cwd()
    return str(script.relative_to(here)) if script.is_relative_to(here) else "rpcnode"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
