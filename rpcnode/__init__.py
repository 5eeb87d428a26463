"""Microservices in Python: write a class, host it, call its methods and hear its events.

Importing this package imports nothing else, so that a program can make the standard library
cooperative (`rpcnode.concurrency.monkey_patch`) before kombu and others are loaded.
"""

__version__ = "0.1.0"
