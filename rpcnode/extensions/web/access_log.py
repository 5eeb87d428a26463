"""One line in the log for each answer."""

import logging
from typing import Any

logger = logging.getLogger("rpcnode.access")


def log_answer(exchange: Any, status: int, bytes_sent: int, seconds: float) -> None:
    """Log an answer at level info; its facts are also attributes of the record.

    The query is left out: it may hold what is not for a log.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    facts = {
        "method": exchange.method,
        "path": exchange.path,
        "status": status,
        "bytes_sent": bytes_sent,
        "seconds": seconds,
        "remote_addr": exchange.remote_addr,
    }
    logger.info(
        "%s %s %d, %d bytes in %.1f ms for %s",
        exchange.method,
        exchange.path,
        status,
        bytes_sent,
        seconds * 1000,
        exchange.remote_addr,
        extra=facts,
    )
