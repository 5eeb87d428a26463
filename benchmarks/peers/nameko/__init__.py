"""Nameko 2, from the package index."""
