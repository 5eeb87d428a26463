"""What single parts cost, in microseconds."""
