"""What breaks, and what callers, handlers and publishers see of it."""
