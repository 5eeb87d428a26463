"""The headers of dead letters, as services write them."""

import time


def notes(reason="exhausted", **others):
    """Return the headers of a letter that died now; names are written with underscores."""
    now = round(time.time() * 1000)
    known = {
        "dead_reason": reason,
        "exc_type": "ValueError",
        "exc_message": "no such sku",
        "traceback": "Traceback: here\n",
        "attempts": 3,
        "first_failed": now - 5000,
        "last_failed": now,
        "handler": "mailer.send",
        "host": "here",
        "origin_exchange": "shop.events",
        "origin_key": "placed",
        **others,
    }
    return {f"rpcnode-{name.replace('_', '-')}": value for name, value in known.items()}
