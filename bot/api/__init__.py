"""Mynah for any other system: OpenAI's chat completions over HTTP, with a key for each system."""
