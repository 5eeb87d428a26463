"""The programs on Starlette."""
