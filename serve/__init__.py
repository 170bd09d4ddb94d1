"""How an artifact runs, whether it is right, and how fast it is."""
