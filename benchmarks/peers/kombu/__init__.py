"""kombu by hand, greened by eventlet: `ConsumerMixin` and pools of producers."""
