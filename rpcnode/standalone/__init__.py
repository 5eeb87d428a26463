"""Clients for programs that are no service: any number of threads, and nothing is patched."""
