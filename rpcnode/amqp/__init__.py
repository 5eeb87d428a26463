"""AMQP mechanics: connections, publishers, consumers. It knows nothing of services."""
