"""What `rpcnode migrate` speaks of, each with what to write; `docs/migrating-from-nameko.md`."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How much a rule matters."""

    MISSING = "not there"
    MEANING = "another meaning"
    NOTE = "worth knowing"


@dataclass(frozen=True)
class Rule:
    """One difference: its name, what rpcnode does, and what you write."""

    name: str
    kind: Kind
    says: str
    write: str


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "not-there",
            Kind.MISSING,
            "rpcnode has no such name; the import was left as it is",
            "what stands behind the place; docs/nameko-names.md has all names",
        ),
        Rule(
            "two-meanings",
            Kind.MISSING,
            "the name is something else as well in this file, so nothing was renamed",
            "another name for one of the two",
        ),
        Rule(
            "unusual-spelling",
            Kind.MISSING,
            "the word is written with an escape, or with letters that only look like it",
            "it plainly, and run this again",
        ),
        Rule(
            "container-internals",
            Kind.MISSING,
            "private attributes of Nameko's containers and consumers do not exist",
            "a shared extension, `container.observers`, or a helper of `rpcnode.testing`",
        ),
        Rule(
            "extension-package",
            Kind.MEANING,
            "a package that extends Nameko imports Nameko, and its classes are of no use here",
            "its counterpart, or a copy of it that went through `rpcnode migrate`",
        ),
        Rule(
            "dropped-reply",
            Kind.MEANING,
            "nobody waits for this reply; an error of the method is a line in the caller's log",
            "`.cast(...)`: it wants no reply, and a failure ends in the dead queue",
        ),
        Rule(
            "requeue-on-error",
            Kind.MEANING,
            "the message goes back to its queue once, not for ever; then it is dead, with reason",
            "`retry=Retry(...)` where more attempts are wanted",
        ),
        Rule(
            "config-is-read-only",
            Kind.MEANING,
            "the configuration of a container cannot be changed",
            "a new dict, `{**config, key: value}`, before the container is made",
        ),
        Rule(
            "context-data",
            Kind.MEANING,
            "what is put there travels with calls and events; in Nameko 2 it had no effect",
            "nothing, if that was wanted; else remove it",
        ),
        Rule(
            "broadcast-queue",
            Kind.NOTE,
            "a broadcast handler works without it; its queue lives as long as its connection",
            "nothing, or leave `reliable_delivery=False` out",
        ),
        Rule(
            "worker-result",
            Kind.NOTE,
            "an error in it is logged; in Nameko it killed the service",
            "`worker_complete` for a commit whose failure the caller has to see",
        ),
        Rule(
            "client-timeout",
            Kind.MEANING,
            "calls of this client end in `RpcTimeout` after RPC_TIMEOUT (30 s); they had no limit",
            "`timeout=` with the seconds you mean; `timeout=None` for no limit",
        ),
        Rule(
            "client-per-thread",
            Kind.NOTE,
            "one client serves all threads of a process; one for each thread or request is waste",
            "one client for the process: start it once, stop it at the end",
        ),
        Rule(
            "call-timeout",
            Kind.NOTE,
            "calls end in `RpcTimeout` after RPC_TIMEOUT (30 s); in Nameko they waited for ever",
            "`RpcProxy(name, timeout=seconds)` where 30 s is not what you mean",
        ),
        Rule(
            "catches-timeout",
            Kind.MEANING,
            "`RpcTimeout` covers the whole call, services raise it too, and a late request that "
            "has not begun is not run",
            "the same, if trying again is right here",
        ),
        Rule(
            "eventlet-timeout",
            Kind.MEANING,
            "a timer of eventlet's is unknown to the callee, which works on for nobody",
            "`self.service.method.with_options(timeout=seconds)(...)`, or `@rpc(timeout=seconds)`",
        ),
        Rule(
            "eventlet-patch",
            Kind.NOTE,
            "eventlet is in one place of rpcnode only, so that it can be replaced",
            "`from rpcnode.concurrency import monkey_patch`; `rpcnode run` and `test` do it",
        ),
        Rule(
            "async-method",
            Kind.MEANING,
            "an entrypoint on an `async def` is an error when the service is bound",
            "a plain method",
        ),
        Rule(
            "werkzeug-exception",
            Kind.NOTE,
            "an HTTP exception of Werkzeug has its own status here; in Nameko it was a 500",
            "nothing, or remove what made up for it",
        ),
        Rule(
            "publisher-options",
            Kind.MEANING,
            "every message is confirmed, and sent again within its timeout; this has no effect",
            "nothing: remove it; `timeout=` says how long a publish may take",
        ),
        Rule(
            "entrypoints-attribute",
            Kind.MEANING,
            "functions keep their entrypoints under another name",
            "`ENTRYPOINT_EXTENSIONS_ATTR` of `rpcnode.extensions`",
        ),
        Rule(
            "patched-name",
            Kind.MEANING,
            "the name exists, but rpcnode need not look it up where Nameko does",
            "the test by what it wants to see; `rpcnode.testing` may have it",
        ),
        Rule(
            "logger-name",
            Kind.MEANING,
            "loggers have the names of rpcnode's modules; all are below `rpcnode`",
            "the logger `rpcnode`",
        ),
        Rule(
            "text",
            Kind.NOTE,
            "the word stands in a text; names on the wire (`nameko-rpc`, `nameko.` headers) stay",
            "whatever the text is for",
        ),
        Rule(
            "transport-options",
            Kind.MEANING,
            "rpcnode reconnects with a backoff of its own; these options are not asked for that",
            "nothing: remove it",
        ),
        Rule(
            "tls-host",
            Kind.MEANING,
            "the broker's certificate must be for the host that the address names",
            "`server_hostname`, or `check_hostname: false`, where it is not",
        ),
        Rule(
            "pickle",
            Kind.MISSING,
            "pickle runs whatever a sender likes, and is refused",
            "`json`, `msgpack`, or a serializer of your own in SERIALIZERS",
        ),
        Rule(
            "command",
            Kind.MEANING,
            "this command is another one here",
            "what stands behind the place",
        ),
        Rule(
            "requirement",
            Kind.MEANING,
            "the requirement could not be rewritten safely",
            "`rpcnode`, and the file anew if a tool makes it",
        ),
    )
}
