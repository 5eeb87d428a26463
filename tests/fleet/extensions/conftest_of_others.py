"""The patch that Nameko needs before anything else."""

import eventlet

eventlet.monkey_patch()
