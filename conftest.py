"""Makes the standard library cooperative before any test module is imported."""

from rpcnode.concurrency import monkey_patch

monkey_patch()
