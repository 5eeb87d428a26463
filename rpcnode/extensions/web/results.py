"""What a method returns, and the answer that it makes."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Any

from werkzeug.wrappers import Response

from rpcnode.extensions.web.encoding import BYTES, JSON, TEXT, Headers, encode_json
from rpcnode.extensions.web.reply import Reply, Stream
from rpcnode.signatures import function_of

NO_BODY = frozenset((204, 304))
FIRST_STATUS, LAST_STATUS = 200, 599


def reply_from_result(result: Any) -> Reply:
    """Return the answer that a result means.

    A dict, list or dataclass is JSON; text and bytes are themselves; None is 204; a generator
    is a stream. `(status, body)` and `(status, headers, body)` say more; a Response says
    everything. Raises TypeError for anything else.
    """
    make = _MAKERS.get(type(result))
    if make is not None:
        return make(result)
    for kind, make in _MAKERS.items():
        if isinstance(result, kind):
            return make(result)
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return _json(result)
    raise TypeError(
        f"a {type(result).__name__} is no answer: return a dict, list, dataclass, text, bytes, "
        "None, a generator, a Response, (status, body) or (status, headers, body)"
    )


def _json(value: Any) -> Reply:
    return Reply(200, JSON, encode_json(value))


def _text(value: str) -> Reply:
    return Reply(200, TEXT, value.encode("utf-8"))


def _bytes(value: bytes) -> Reply:
    return Reply(200, BYTES, bytes(value))


def _nothing(_value: None) -> Reply:
    return Reply(204, [])


def _stream(items: Iterator[Any]) -> Reply:
    return Reply(200, [], Stream(items))


def _itself(reply: Reply) -> Reply:
    return reply


def _parts(parts: tuple[Any, ...]) -> Reply:
    if type(parts) is not tuple or len(parts) not in (2, 3):
        raise TypeError(
            f"a {type(parts).__name__} of {len(parts)} is no answer: "
            "return (status, body) or (status, headers, body)"
        )
    status, body = _status(parts[0]), parts[-1]
    if isinstance(body, tuple):
        raise TypeError("a tuple is no body: return a list where a JSON array is meant")
    reply = Reply(status, []) if body is None else reply_from_result(body)
    reply.status = status
    if status in NO_BODY:
        reply.close()
        reply = Reply(status, [])
    if len(parts) == 3:
        reply.headers = merged(reply.headers, _pairs(parts[1]))
    return reply


def _status(value: Any) -> int:
    if not isinstance(value, int) or not FIRST_STATUS <= value <= LAST_STATUS:
        raise TypeError(f"{value!r} is no status: it must be a number from 200 to 599")
    return int(value)


def _pairs(headers: Any) -> list[tuple[str, str]]:
    items: Iterable[tuple[Any, Any]] = headers.items() if hasattr(headers, "items") else headers
    return [(str(name), str(each)) for name, value in items for each in _values(value)]


def _values(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def merged(headers: Headers, own: list[tuple[str, str]]) -> Headers:
    """Return `headers` without those that are in `own`, and `own`."""
    given = {name.lower() for name, _ in own}
    return [each for each in headers if each[0].lower() not in given] + own


def reply_from_response(response: Response) -> Reply:
    """Return the answer that a Response of Werkzeug is."""
    headers = [each for each in response.headers if each[0].lower() != "content-length"]
    if response.status_code in NO_BODY:
        response.close()
        return Reply(response.status_code, headers)
    if response.is_sequence and not response.direct_passthrough:
        body = b"".join(response.iter_encoded())
        response.close()
        return Reply(response.status_code, headers, body)
    is_raw = response.direct_passthrough
    pieces = iter(response.response if is_raw else response.iter_encoded())
    stream = Stream(pieces, response.close, response.content_length)
    return Reply(response.status_code, headers, stream)


def response_from_result(result: Any) -> Response:
    """Return the answer that a method's result makes."""
    return response_from_reply(reply_from_result(result))


def response_from_reply(reply: Reply) -> Response:
    """Return an answer as a Response of Werkzeug."""
    body = reply.body
    if isinstance(body, bytes):
        return Response(body, reply.status, reply.headers)
    return Response(body.pieces(), reply.status, reply.headers, direct_passthrough=True)


def is_generator(method: Any) -> bool:
    """Return whether a method, as its class has it, is a generator under its decorators."""
    return inspect.isgeneratorfunction(inspect.unwrap(function_of(method)))


# The first that fits: a Reply is what other modules make of what they know better.
_MAKERS: dict[Any, Callable[[Any], Reply]] = {
    dict: _json,
    list: _json,
    str: _text,
    bytes: _bytes,
    type(None): _nothing,
    tuple: _parts,
    bytearray: _bytes,
    Reply: _itself,
    Response: reply_from_response,
    Mapping: _json,
    GeneratorType: _stream,
}
