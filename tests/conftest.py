"""Fixtures that more than one part of the tests needs."""

pytest_plugins = ["tests.stores", "tests.vllm_server", "tests.sandbox_server"]
