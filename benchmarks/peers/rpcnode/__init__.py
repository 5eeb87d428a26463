"""rpcnode, as it lies here."""
