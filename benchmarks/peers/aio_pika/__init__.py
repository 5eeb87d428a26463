"""aio-pika, with the pattern for RPC that it comes with."""
