"""What is published when a dead letter goes back to work, or is written down and read again."""

import base64
import binascii
import json
import time
from collections.abc import Mapping
from typing import Any

from rpcnode.amqp import fieldforms, fields
from rpcnode.amqp.copies import REPLAYED, REPLAYED_AT, is_name, is_of_the_broker
from rpcnode.amqp.message import PERSISTENT
from rpcnode.amqp.sending import Encoded
from rpcnode.amqp.unencodable import check_expiration
from rpcnode.deadletters.letter import SUFFIX, DeadLetter
from rpcnode.exceptions import UndecodableMessage

OWN_PREFIX = "rpcnode-"
ORIGIN = ("rpcnode-origin-exchange", "rpcnode-origin-key")
RPC_PREFIX = "rpc-"
# RabbitMQ would not take another's user id, and nobody would get what expires at once.
_NOT_REPLAYED = ("expiration", "user_id", "cluster_id")
_COPIED_BY_BROKER = (b"CC", b"BCC")  # RabbitMQ puts copies into the queues that these name


def destination_of(letter: DeadLetter) -> tuple[str, str]:
    """Return the exchange and the routing key that lead a letter back to its owner's queue.

    It is the default exchange and the queue's name; for requests the exchange that they came
    through, because a Nameko instance on the same queue finds its method by the routing key.
    """
    owner = letter.owner
    service = owner.removeprefix(RPC_PREFIX)
    is_request = service != owner and letter.origin_key.startswith(f"{service}.")
    if is_request and letter.origin_exchange:
        return letter.origin_exchange, letter.origin_key
    return "", owner


def replay_of(letter: DeadLetter, destination: tuple[str, str]) -> Encoded:
    """Return the copy of a letter that goes back to work: as it was, without notes on its death.

    It says how often it was replayed, and when. Raises UndecodableMessage when the properties of
    the letter cannot be read.
    """
    try:
        properties = fields.decode(letter.encoded)
        for name in _NOT_REPLAYED:
            properties.pop(name, None)
        properties["delivery_mode"] = PERSISTENT
        kept = [each for each in properties.get("headers", []) if _is_kept(each[0])]
        properties["headers"] = kept + _notes(letter, {key for key, _field in kept})
        return Encoded(*destination, fields.encode(properties), letter.body)
    except fields.FieldError as exc:
        raise UndecodableMessage(f"the message {letter.id!r} cannot be replayed: {exc}") from exc


def _is_kept(key: bytes) -> bool:
    name = fields.text_of(key)
    if name is None or not name.startswith(OWN_PREFIX):
        return name is None or not is_of_the_broker(name)
    return name in ORIGIN


def _notes(letter: DeadLetter, present: set[bytes]) -> fields.Table:
    now = round(time.time() * 1000)
    notes = [
        (REPLAYED.encode(), fields.integer(letter.replayed + 1)),
        (REPLAYED_AT.encode(), fields.integer(now)),
    ]
    # RabbitMQ's own dead letters have their origin in what replaying strips.
    for name, value in zip(ORIGIN, (letter.origin_exchange, letter.origin_key), strict=True):
        if letter.origin_key and name.encode() not in present:
            notes.append((name.encode(), fields.Field("S", value.encode())))
    return notes


def to_line(letter: DeadLetter) -> str:
    """Return a letter as one line of JSON, without its end; nothing of it is lost."""
    line = {"queue": letter.queue, **_properties_in_json(letter.encoded)}
    try:
        line["body"] = letter.body.decode()
    except UnicodeDecodeError:
        line["body_base64"] = base64.b64encode(letter.body).decode()
    return json.dumps(line)


def _properties_in_json(encoded: bytes) -> dict[str, Any]:
    """Return the properties as a reader wants them, or as bytes where that would lose any."""
    try:
        form = fieldforms.to_json(fields.decode(encoded))
        if fields.encode(fieldforms.from_json(json.loads(json.dumps(form)))) == encoded:
            return {"properties": form}
    except fields.FieldError:
        pass  # whatever it is, its bytes say it
    return {"encoded_properties": base64.b64encode(encoded).decode()}


def from_line(line: str, queue: str | None = None) -> Encoded:
    """Return the message in a line that `to_line` made, for its queue, or for `queue`.

    Raises ValueError for a line that is none.
    """
    try:
        form = json.loads(line)
    except RecursionError as exc:
        raise ValueError("it is nested too deep") from exc
    if not isinstance(form, dict):
        raise ValueError("it is no object")
    unknown = form.keys() - {
        *("queue", "properties", "encoded_properties", "body", "body_base64"),
    }
    if unknown:
        raise ValueError(f"there is no {min(unknown)!r} in a dead letter")
    if queue is None:
        queue = _text(form, "queue")
        if not queue.endswith(SUFFIX):
            raise ValueError(f"{queue!r} is no dead queue: its name does not end with {SUFFIX!r}")
        if not is_name(queue):
            raise ValueError("the name of its queue is too long")
    return Encoded("", queue, _properties_from(form), _body_from(form))


def _properties_from(form: Mapping[str, Any]) -> bytes:
    if "encoded_properties" in form:
        return _bytes(form, "encoded_properties")
    properties = fieldforms.from_json(form.get("properties"))
    return fields.encode(properties)


def _body_from(form: Mapping[str, Any]) -> bytes:
    if "body_base64" in form:
        return _bytes(form, "body_base64")
    return _text(form, "body").encode()


def _text(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is missing, or no text")
    return value


def _bytes(form: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_text(form, name), validate=True)
    except binascii.Error as exc:
        raise ValueError(f"{name!r} is no base64: {exc}") from exc


def importable(encoded: bytes, username: str | None) -> bytes:
    """Return properties as `username` may publish them to one queue.

    RabbitMQ takes no other's user id, and would copy the message to the queues in CC and BCC.
    Those that cannot be read stay as they are. Raises ValueError for what it would close the
    channel for.
    """
    try:
        properties = fields.decode(encoded)
    except fields.FieldError:
        return encoded
    if username is None or properties.get("user_id") != username.encode():
        properties.pop("user_id", None)
    if "expiration" in properties:
        check_expiration(properties["expiration"].decode(errors="replace"))
    table = properties.get("headers")
    if table is not None:
        properties["headers"] = [each for each in table if each[0] not in _COPIED_BY_BROKER]
    return fields.encode(properties)
