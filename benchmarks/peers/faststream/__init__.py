"""FastStream, with its broker for RabbitMQ."""
