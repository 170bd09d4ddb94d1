"""What Python costs: the same artifact, and the original, timed in Python processes."""
