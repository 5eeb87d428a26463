"""The conftest.py beside the tests in checks.py: Nameko's users begin it like this."""

import eventlet

eventlet.monkey_patch()
