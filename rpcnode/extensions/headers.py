"""Context data in headers, for extensions that carry messages by other ways."""

from collections.abc import Mapping
from typing import Any

from rpcnode.context import WorkerContext, context_from_headers, headers_from_context

PREFIX = "nameko"  # the default of HEADER_PREFIX


def encode_to_headers(context_data: Mapping[str, Any], prefix: str = PREFIX) -> dict[str, Any]:
    """Return context data as headers, `{prefix}.{key}` each; what is None stays at home."""
    return headers_from_context(context_data, prefix)


def decode_from_headers(headers: Mapping[str, Any], prefix: str = PREFIX) -> dict[str, Any]:
    """Return the context data among `headers`; those of others are left out."""
    return context_from_headers(headers, prefix)


class HeaderEncoder:
    """Mixed into an extension that sends the context data of a worker."""

    header_prefix = PREFIX

    def get_message_headers(self, worker_ctx: WorkerContext) -> dict[str, Any]:
        """Return the context data of a worker as headers."""
        return encode_to_headers(worker_ctx.context_data, self.header_prefix)


class HeaderDecoder:
    """Mixed into an extension that receives context data."""

    header_prefix = PREFIX

    def unpack_message_headers(self, message: Any) -> dict[str, Any]:
        """Return the context data in the `headers` of a message."""
        return decode_from_headers(message.headers, self.header_prefix)
