"""Celery, with RabbitMQ as its broker and for its results."""
