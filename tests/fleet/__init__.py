"""rpcnode in a fleet of real Nameko services, each in a process of its own."""
