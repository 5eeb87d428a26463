"""The error of a message that no queue takes, under the path that Nameko's users know."""

from rpcnode.exceptions import UndeliverableMessage

__all__ = ["UndeliverableMessage"]
