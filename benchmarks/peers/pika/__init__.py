"""pika, as in the tutorials of RabbitMQ."""
