"""The command `rpcnode`: one module for each of its commands."""
