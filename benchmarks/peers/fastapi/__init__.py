"""The programs on FastAPI."""
