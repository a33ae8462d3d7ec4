"""Ways to rank that look at more than one similarity at a time."""
