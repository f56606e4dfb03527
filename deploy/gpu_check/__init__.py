"""Whether serving and training work on a machine's own GPU, and how fast they are there."""
