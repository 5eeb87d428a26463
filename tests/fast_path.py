"""Which codec the tests of messaging use: `make test-stock` runs them with py-amqp's."""

import os

FAST_PATH = os.environ.get("RPCNODE_TEST_FAST_PATH") != "0"
