"""`make bench-learning`: ways to learn the same answers, measured side by side."""
