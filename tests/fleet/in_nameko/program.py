"""A program that is no service: it calls the desks of both sides, and dispatches events."""

import json
import os

from desk import SIDE, outcome
from nameko.standalone.events import event_dispatcher
from nameko.standalone.rpc import ClusterRpcProxy, ServiceRpcProxy

CONFIG = {"AMQP_URI": os.environ["AMQP_URI"]}
CONTEXT = {"language": "fr", "user_id": 7, "auth_token": "secret", "tenant": "north"}


def ask(desk):
    """Return what comes of calls of one desk."""
    replies = [desk.echo.call_async(number) for number in range(10)]
    return {
        "echo": outcome(desk.echo, "grüße", key={"nested": [1, None]}),
        "in any order": [reply.result()["args"][0] for reply in reversed(replies)],
        "context": desk.context(),
        "known": outcome(desk.fail, "known"),
        "known later": outcome(desk.fail.call_async("known").result),
        "unknown": outcome(desk.fail, "unknown"),
        "absent": outcome(desk.absent)["error"],
        "wrong": outcome(desk.strict)["error"],
        "after all": outcome(desk.echo),
    }


def ask_too_long(desk):
    """Return what comes of a call that takes longer than the caller waits."""
    with ServiceRpcProxy(desk, CONFIG, timeout=0.3) as proxy:
        return outcome(proxy.nap, 1)["error"]


def main():
    """Print what was seen."""
    seen = {"too long": [ask_too_long("desk-old"), ask_too_long("desk-new")]}
    with ClusterRpcProxy(CONFIG, context_data=CONTEXT) as rpc:
        seen["cluster"] = {"old": ask(rpc["desk-old"]), "new": ask(rpc["desk-new"])}
        seen["nobody"] = outcome(rpc.nobody.method)["error"]
    seen["service"] = {}
    for side in ("old", "new"):
        with ServiceRpcProxy(f"desk-{side}", CONFIG, context_data=CONTEXT) as desk:
            seen["service"][side] = ask(desk)
    dispatch = event_dispatcher(CONFIG)
    for number in range(10):
        dispatch("front-old", "happened", {"from": f"program-{SIDE}", "number": number})
        dispatch("front-new", "happened_once", {"from": f"program-{SIDE}", "number": number})
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
