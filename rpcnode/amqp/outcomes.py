"""What becomes of a message that the embedded broker is given.

By itself, so that whoever talks to RabbitMQ need not load the embedded broker.
"""

ROUTED = "routed"
UNROUTABLE = "unroutable"
REJECTED = "rejected"
