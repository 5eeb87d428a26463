"""What travels in a message: payloads <-> bytes."""

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import encoder as json_encoder
from typing import Any, NamedTuple, Self

from kombu import compression
from kombu import serialization as kombu_serialization
from kombu.utils.json import JSONEncoder as KombuEncoder
from kombu.utils.json import object_hook as kombu_hook

from rpcnode.config import Config, as_config
from rpcnode.exceptions import ConfigurationError, UndecodableMessage, UnserializableValueError
from rpcnode.locating import locate

try:
    import msgpack
except ImportError:  # the extra is not installed
    msgpack = None

BINARY = "binary"
CHARSETS = frozenset(
    (BINARY, *("utf-8", "utf8", "us-ascii", "ascii", "latin-1", "iso-8859-1", "utf-16"))
)
LARGEST_BODY = 128 * 1024 * 1024  # bytes when decompressed; RabbitMQ takes no larger messages


@dataclass(frozen=True, slots=True)
class Serializer:
    """One way to turn payloads into bytes, under a name and a content type.

    A `content_encoding` other than "binary" names the character set: then `to_data` returns
    text and `from_data` gets text.
    """

    name: str
    content_type: str
    content_encoding: str
    to_data: Callable[[Any], str | bytes]
    from_data: Callable[[Any], Any]

    def encode(self, value: Any) -> bytes:
        """Return `value` in bytes; raise UnserializableValueError when it has none."""
        try:
            data = self.to_data(value)
            return data if isinstance(data, bytes) else data.encode(self.content_encoding)
        except Exception as exc:  # serializers raise what they like
            raise UnserializableValueError(value) from exc

    def decode(self, body: bytes, encoding: str | None = None) -> Any:
        """Return the value in `body`; raise UndecodableMessage when there is none.

        `encoding` is the message's own content encoding, where it has one.
        """
        own = self.content_encoding
        charset = own if not encoding or encoding == own else _charset(encoding)
        try:
            return self.from_data(body if own == BINARY else body.decode(charset))
        except Exception as exc:  # deserializers raise what they like
            raise UndecodableMessage(f"the body is not {self.name}: {exc}") from exc


class Serialization:
    """The serializers of one container: one to send with, and those it accepts.

    Raises ConfigurationError for a name that nothing is known by.
    """

    def __init__(
        self, default: Serializer, accepted: list[Serializer], known: Mapping[str, Serializer]
    ) -> None:
        self.default = default
        self._accepted = {each.content_type: each for each in accepted}
        self._known = known

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return what SERIALIZER, SERIALIZERS and ACCEPT ask for."""
        known = {**_built_in(), **_configured(config["SERIALIZERS"])}
        name = config["SERIALIZER"]
        accepted = config["ACCEPT"] or [name]
        return cls(_find(name, known), [_find(each, known) for each in accepted], known)

    def named(self, name: str | None) -> Serializer:
        """Return the serializer of that name, the default one for None.

        Raises ConfigurationError when there is none.
        """
        return self.default if name is None else _find(name, self._known)

    def of(self, properties: Mapping[str, Any]) -> Serializer:
        """Return the serializer of a message; one without a content type has the default's.

        Raises UndecodableMessage when its content type is not accepted.
        """
        content_type = properties.get("content_type")
        if not content_type:
            return self.default
        try:
            return self._accepted[content_type]
        except KeyError:
            raise UndecodableMessage(
                f"content type {content_type!r} is not accepted, only {', '.join(self._accepted)}"
            ) from None

    def for_reply(self, properties: Mapping[str, Any]) -> Serializer:
        """Return the serializer that the sender of a message will understand."""
        return self._accepted.get(properties.get("content_type") or "", self.default)

    def decode(self, body: bytes, properties: Mapping[str, Any], headers: Mapping[str, Any]) -> Any:
        """Return the payload of a message; raise UndecodableMessage when it cannot be read."""
        serializer = self.of(properties)
        if "compression" in headers:
            body = _decompressed(body, headers["compression"])
        return serializer.decode(body, properties.get("content_encoding"))


def compress(body: bytes, kind: str) -> tuple[bytes, str]:
    """Return a body compressed with `kind` (zlib, bzip2, lzma), and what the header says then.

    Raises ConfigurationError for a kind that is not known.
    """
    try:
        compressed, header = compression.compress(body, kind)
    except KeyError:
        raise ConfigurationError(f"there is no compression {kind!r}") from None
    return compressed, header


def _decompressed(body: bytes, kind: Any) -> bytes:
    make = _DECOMPRESSORS.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise UndecodableMessage(f"the body is compressed with {kind!r}, which is not known")
    try:
        data: bytes = make().decompress(body, LARGEST_BODY + 1)
    except Exception as exc:  # a body that is something else
        raise UndecodableMessage(f"the body cannot be decompressed ({kind!r}): {exc}") from exc
    if len(data) > LARGEST_BODY:
        raise UndecodableMessage(f"the body has more than {LARGEST_BODY} bytes when decompressed")
    return data


# By the content types that kombu gives them.
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}


def _charset(name: Any) -> str:
    # Python knows codecs that take minutes for what somebody sends, and remembers all names.
    if not isinstance(name, str) or name.lower() not in CHARSETS:
        raise UndecodableMessage(f"the content encoding {name!r} is not known")
    return name


# kombu's encoder knows dates, decimals, UUIDs and bytes; peers with kombu read them back.
_encode_other = KombuEncoder().default
_encode_json = json.JSONEncoder(separators=(",", ":"), default=_encode_other).encode
_quoted = json_encoder.encode_basestring_ascii
_make_encoder: Any = getattr(json_encoder, "c_make_encoder", None)


def _to_json(value: Any) -> str:
    # Without the class around it, the same encoder takes two thirds of the time. It looks out for
    # what contains itself: else the limit of recursion does, after writing all of that a thousand
    # times, or ten thousand times, depending on the Python.
    if _make_encoder is None:  # this Python is built without it
        return _encode_json(value)
    encode = _make_encoder({}, _encode_other, _quoted, None, ":", ",", False, False, True)
    return "".join(encode(value, 0))


_decode_json = json.JSONDecoder().raw_decode


def _from_json(text: str) -> Any:
    # The hook costs a call for each object, and few messages have anything for it.
    if '"__type__"' in text:
        return json.loads(text, object_hook=_revived)
    try:
        value, end = _decode_json(text)
    except json.JSONDecodeError:
        end = -1
    # `loads` does the same, and looks for white space around it, which takes as long again.
    return value if end == len(text) else json.loads(text)


def _revived(value: dict[str, Any]) -> Any:
    try:
        return kombu_hook(value)
    except Exception:  # a user's own object that happens to have these two keys
        return value


def _built_in() -> dict[str, Serializer]:
    serializers = [Serializer("json", "application/json", "utf-8", _to_json, _from_json)]
    if msgpack is not None:
        serializers.append(
            Serializer("msgpack", "application/x-msgpack", BINARY, msgpack.packb, msgpack.unpackb)
        )
    return {each.name: each for each in serializers}


def _configured(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Serializer]:
    return {name: _from_entry(name, entry) for name, entry in entries.items()}


def _from_entry(name: str, entry: Mapping[str, Any]) -> Serializer:
    try:
        return Serializer(
            name,
            str(entry["content_type"]),
            str(entry.get("content_encoding", "utf-8")),
            _function(name, entry["encoder"]),
            _function(name, entry["decoder"]),
        )
    except KeyError as exc:
        raise ConfigurationError(f"SERIALIZERS: {name!r} lacks {exc}") from exc


def _function(name: str, path: Any) -> Callable[[Any], Any]:
    function: Any = locate(path) if isinstance(path, str) else path
    if not callable(function):
        raise ConfigurationError(f"SERIALIZERS: {name!r}: there is no function {path!r}")
    return function  # type: ignore[no-any-return]  # it was asked whether it is callable


def _find(name: str, known: Mapping[str, Serializer]) -> Serializer:
    if name in known:
        return known[name]
    hint = ""
    if name == "msgpack":
        hint = ": install rpcnode[msgpack]"
    elif name == "pickle":
        hint = ": pickle runs whatever a sender likes, and is not offered"
    raise ConfigurationError(f"there is no serializer {name!r}, only {', '.join(known)}{hint}")


class SerializationConfig(NamedTuple):
    """The names of what is sent with, and of what is read."""

    serializer: str
    accept: list[str]


def setup(config: Config | Mapping[str, Any] | None = None) -> SerializationConfig:
    """Return the names of serializers that a configuration asks for, ready to be given to kombu.

    SERIALIZERS are registered with kombu, for the whole process; services do not need that.
    Raises ConfigurationError for a name that nothing is known by.
    """
    config = as_config(config)
    Serialization.from_config(config)  # checks the names
    for each in _configured(config["SERIALIZERS"]).values():
        kombu_serialization.register(
            each.name, each.to_data, each.from_data, each.content_type, each.content_encoding
        )
    name = config["SERIALIZER"]
    return SerializationConfig(name, list(config["ACCEPT"] or [name]))
