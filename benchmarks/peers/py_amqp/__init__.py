"""py-amqp by hand, greened by eventlet: one connection, and one green thread that reads it."""
