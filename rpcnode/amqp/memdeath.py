"""Dead-lettering as RabbitMQ 3.10 does it: the headers it writes, the cycles it breaks."""

from datetime import UTC, datetime
from typing import Any

from rpcnode.amqp.memqueue import Message, Queue


def record_death(queue: Queue, message: Message, reason: str, unix_time: float) -> Message:
    """Return the message as it goes on from `queue`, where it died."""
    properties = dict(message.properties)
    expiration = properties.pop("expiration", None)
    death = {
        "reason": reason,
        "queue": queue.name,
        # AMQP knows whole seconds, and py-amqp decodes them to naive UTC.
        "time": datetime.fromtimestamp(int(unix_time), UTC).replace(tzinfo=None),
        "exchange": message.exchange,
        "routing-keys": [message.routing_key, *_copied_keys(message.headers or {}, "CC")],
    }
    if expiration is not None:
        death["original-expiration"] = expiration
    headers = _with_death(dict(message.headers or {}), death)
    key = message.routing_key
    if queue.dead_letter_key is not None:
        key = queue.dead_letter_key
        headers.pop("CC", None)
        headers.pop("BCC", None)
    return Message(message.body, properties, headers, queue.dead_letter_exchange or "", key)


def is_cycle(queue: str, headers: dict[str, Any] | None) -> bool:
    """Return whether a message died in `queue` before, and was never rejected since."""
    for death in (headers or {}).get("x-death", ()):
        if death.get("reason") == "rejected":
            return False
        if death.get("queue") == queue:
            return True
    return False


def extra_keys(headers: dict[str, Any]) -> list[str]:
    """Return the routing keys that a sender added in the headers CC and BCC."""
    return [*_copied_keys(headers, "CC"), *_copied_keys(headers, "BCC")]


def _copied_keys(headers: dict[str, Any], name: str) -> list[str]:
    value = headers.get(name)
    return [key for key in value if isinstance(key, str)] if isinstance(value, list) else []


def _with_death(headers: dict[str, Any], death: dict[str, Any]) -> dict[str, Any]:
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        for fact in ("reason", "queue", "exchange"):
            headers[f"x-first-death-{fact}"] = death[fact]
        deaths = []
    same = [one for one in deaths if _is_same(one, death)]
    others = [one for one in deaths if not _is_same(one, death)]
    latest = {**same[0], "count": same[0].get("count", 1) + 1} if same else {"count": 1, **death}
    headers["x-death"] = [latest, *others]
    return headers


def _is_same(one: Any, death: dict[str, Any]) -> bool:
    is_table = isinstance(one, dict)
    return is_table and (one.get("queue"), one.get("reason")) == (death["queue"], death["reason"])
