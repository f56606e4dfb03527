"""A storm: many events under every kind of bad luck, and what must be true when it is over."""
