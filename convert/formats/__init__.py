"""One file a format: everything about it, and the hops that lead to it."""
