"""HTTP, under the names that Nameko's users know."""

__all__ = ()
