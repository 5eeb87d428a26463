"""Dramatiq, with RabbitMQ as its broker."""
