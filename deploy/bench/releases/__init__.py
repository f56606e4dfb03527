"""What releases cost and never do: real vLLM, a real bot, changes under load, and kills."""
