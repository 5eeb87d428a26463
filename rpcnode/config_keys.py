"""The configuration keys that rpcnode knows: the one place for their defaults and checks."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rpcnode.sizes import parse_size

_URI = re.compile(r"[A-Za-z][\w.+-]*://")


@dataclass(frozen=True)
class Check:
    """What a value must be: in words, and as a test."""

    expected: str
    accepts: Callable[[Any], bool]

    def or_null(self) -> "Check":
        """Return the same check for a key that may be null as well."""
        accepts = self.accepts
        return Check(f"{self.expected}, or null", lambda value: value is None or accepts(value))


@dataclass(frozen=True)
class Key:
    """One configuration key; `unset` are the values that mean its default."""

    name: str
    default: Any
    check: Check
    description: str
    unset: tuple[Any, ...] = ()


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(map(_is_text, value))


def _is_uri(value: Any) -> bool:
    return isinstance(value, str) and _URI.match(value) is not None


def _is_mapping_of_mappings(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values())


def _is_mapping_of_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, [*value, *value.values()]))


def _is_cors(value: Any) -> bool:
    return isinstance(value, (bool, Mapping)) or _is_text(value) or _is_texts(value)


FLAG = Check("true or false", lambda value: isinstance(value, bool))
COUNT = Check("a whole number of at least 1", _is_count)
WHOLE = Check("a whole number of at least 0", _is_whole)
SECONDS = Check("a number of seconds above 0", lambda value: _is_number(value) and value > 0)
DURATION = Check(
    "a number of seconds of at least 0", lambda value: _is_number(value) and value >= 0
)
TEXT = Check("a text", _is_text)
TEXTS = Check("a list of at least one text", _is_texts)
URI = Check("a URI such as amqp://user:password@host:5672/vhost", _is_uri)
MAPPING = Check("a mapping", lambda value: isinstance(value, Mapping))
MAPPINGS = Check("a mapping of names to mappings", _is_mapping_of_mappings)
TEXTS_BY_NAME = Check("a mapping of texts to texts", _is_mapping_of_texts)
SIZE = Check("a size such as 64 KiB or 10 MB", lambda value: parse_size(value) is not None)
CORS = Check("true, false, origins, or a mapping of options", _is_cors)
QUEUE_TYPE = Check("classic or quorum", lambda value: value in ("classic", "quorum"))
MODE = Check("`running` or `drain`", lambda value: value in ("running", "drain"))
SSL = Check(
    "true, false or a mapping of SSL options",
    lambda value: isinstance(value, (bool, Mapping)),
)

KEYS = (
    Key(
        "AMQP_URI",
        "amqp://guest:guest@localhost:5672//",
        URI,
        "Where the broker is; several addresses are separated by `;`. `memory://` is the "
        "embedded broker.",
    ),
    Key(
        "AMQP_SSL",
        None,
        SSL.or_null(),
        "Encrypt connections to the broker: `true`, or options.",
    ),
    Key(
        "HEARTBEAT",
        60,
        DURATION.or_null(),
        "Seconds between heartbeats on both connections; 0 or `null` turns them off.",
    ),
    Key(
        "LOGIN_METHOD",
        None,
        TEXT.or_null(),
        "PLAIN, AMQPLAIN or EXTERNAL; `null` lets choose.",
    ),
    Key(
        "AMQP_FAST_PATH",
        True,
        FLAG,
        "Encode and decode messages by rpcnode's own code; `false` leaves it to py-amqp.",
        (None,),
    ),
    Key(
        "TRANSPORT_OPTIONS",
        {},
        MAPPING,
        "Options of kombu's transport, as they are.",
        (None,),
    ),
    Key("RPC_EXCHANGE", "nameko-rpc", TEXT, "The exchange of all requests and replies."),
    Key(
        "HEADER_PREFIX",
        "nameko",
        TEXT,
        "What the headers that carry context data begin with.",
    ),
    Key("SERIALIZER", "json", TEXT, "How what is sent is encoded."),
    Key(
        "SERIALIZERS",
        {},
        MAPPINGS,
        "Own serializers: names to `encoder`, `decoder`, `content_type`, `content_encoding`.",
        (None,),
    ),
    Key(
        "ACCEPT",
        None,
        TEXTS.or_null(),
        "Serializers of messages that are read; `null` means SERIALIZER alone.",
    ),
    Key(
        "MAX_WORKERS",
        10,
        COUNT,
        "How many workers a service runs at once; 0 or `null` means the default.",
        (None, 0),
    ),
    Key(
        "PREFETCH_COUNT",
        None,
        COUNT.or_null(),
        "How many unacknowledged messages a consumer holds; `null` derives it from the workers.",
    ),
    Key(
        "RPC_QUEUE_LIMIT",
        None,
        WHOLE.or_null(),
        "How many calls of methods without workers of their own wait for a worker before more are "
        "answered `TooBusy`, where another method has; `null` means as many as MAX_WORKERS.",
    ),
    Key(
        "MAX_WAIT",
        300,
        SECONDS.or_null(),
        "Seconds that a message waits for a worker before it goes back to its queue; less than the "
        "broker's `consumer_timeout`. `null` lets it wait for ever.",
    ),
    Key(
        "PARENT_CALLS_TRACKED",
        10,
        WHOLE,
        "How many callers a worker's call stack goes back.",
    ),
    Key(
        "SERVICE_CONTAINER_CLS",
        None,
        TEXT.or_null(),
        "The dotted path of the container class to use; `null` means `ServiceContainer`.",
    ),
    Key(
        "AUTO_DELETE_EVENT_EXCHANGES",
        False,
        FLAG,
        "Let the broker delete event exchanges that nothing is bound to.",
        (None,),
    ),
    Key(
        "DECLARE_EVENT_EXCHANGES",
        True,
        FLAG,
        "Declare event exchanges; `false` where somebody else does.",
        (None,),
    ),
    Key(
        "LOGGING",
        None,
        MAPPING.or_null(),
        "Passed to `logging.config.dictConfig` by `rpcnode`.",
    ),
    Key(
        "RPC_TIMEOUT",
        30,
        SECONDS.or_null(),
        "Seconds until a call fails, unless it says otherwise; `null` lets it wait for ever.",
    ),
    Key(
        "RPC_PERSISTENT",
        False,
        FLAG,
        "Let calls and replies survive a restart of the broker.",
    ),
    Key(
        "PUBLISH_TIMEOUT",
        30,
        SECONDS,
        "Seconds that the broker has to confirm a message.",
    ),
    Key(
        "SHUTDOWN_TIMEOUT",
        30,
        DURATION,
        "Seconds that running workers have when it stops.",
    ),
    Key(
        "SHUTDOWN_MODE",
        "running",
        MODE,
        "What is finished when it stops: `running` workers, or `drain`, also what was received.",
    ),
    Key(
        "CLOCK_SKEW",
        2,
        DURATION.or_null(),
        "Seconds that the clocks of two hosts may differ; `null` ignores the caller's clock.",
    ),
    Key(
        "QUEUE_TYPE",
        "classic",
        QUEUE_TYPE,
        "`quorum` makes the queues of calls and of shared events, and what belongs to them, "
        "quorum queues, which survive the loss of a broker's node; no Nameko instance can share "
        "them.",
        (None,),
    ),
    Key(
        "CRASH_LIMIT",
        20,
        COUNT,
        "How often a message may take its process with it, until it goes to its dead queue.",
    ),
    Key(
        "EVENT_RETRY",
        None,
        MAPPING.or_null(),
        "The retry policy of handlers of events and messages that have none of their own: "
        "`max_attempts`, `delay`, `jitter`, `max_age`; `null` tries nothing again.",
    ),
    Key("DEAD_MAX_LENGTH", 100_000, COUNT, "How many messages a dead queue takes."),
    Key(
        "MANAGEMENT_URI",
        None,
        URI.or_null(),
        "RabbitMQ's management API, which tells `rpcnode dead` and `rpcnode retry` what queues "
        "there are; `null` means port 15672 of the broker's host (15671, with `https`, where "
        "connections to the broker are encrypted), with its user.",
    ),
    Key(
        "WEB_SERVER_ADDRESS",
        "0.0.0.0:8000",
        TEXT.or_null(),
        "Where HTTP is listened for: `host:port`, `:port`, `[ipv6]:port`; `null` opens no port.",
    ),
    Key(
        "WEB_SSL",
        None,
        MAPPING.or_null(),
        "Speak HTTPS: `certfile`, `keyfile`, and `ca_certs` to demand certificates of clients.",
    ),
    Key("HTTP_TIMEOUT", 30, SECONDS.or_null(), "Seconds that an HTTP request may take."),
    Key(
        "HTTP_QUEUE_LIMIT",
        1000,
        WHOLE,
        "How many HTTP requests wait for a free worker; more are answered with 503.",
    ),
    Key("MAX_STREAMS", 1000, COUNT, "How many HTTP answers a service streams at once."),
    Key("HTTP_MAX_BODY", "10 MiB", SIZE, "The largest body of an HTTP request."),
    Key("HTTP_MAX_HEAD", "64 KiB", SIZE, "The largest head of an HTTP request."),
    Key("HTTP_HEADER_TIMEOUT", 10, SECONDS, "Seconds that the head of a request may take."),
    Key("HTTP_BODY_TIMEOUT", 30, SECONDS, "Seconds in which a part of a body must arrive."),
    Key(
        "HTTP_BODY_RATE",
        500,
        WHOLE,
        "Bytes per second that must arrive of a body in that time; 0 where one byte is enough.",
    ),
    Key(
        "HTTP_WRITE_TIMEOUT", 30, SECONDS, "Seconds in which a client must take some of an answer."
    ),
    Key("HTTP_KEEP_ALIVE", 75, SECONDS, "Seconds that an idle connection stays open."),
    Key("HTTP_MAX_CONNECTIONS", 10_000, COUNT, "How many connections are open at once."),
    Key(
        "HTTP_CONTEXT_HEADERS",
        {},
        TEXTS_BY_NAME,
        "Headers of HTTP requests that become context data: names to keys.",
        (None,),
    ),
    Key(
        "HTTP_CORS",
        None,
        CORS.or_null(),
        "Which pages of other origins may ask: `true` for all, origins, or options.",
    ),
    Key("HTTP_GZIP", False, FLAG, "Compress answers over HTTP for clients that can read it."),
    Key("HTTP_HEALTH", True, FLAG, "Answer `/-/live` and `/-/ready` where there is HTTP."),
    Key("HTTP_ACCESS_LOG", True, FLAG, "Log each HTTP answer, at level info, as `rpcnode.access`."),
)
