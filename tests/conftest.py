"""Fixtures that more than one part of the tests needs."""

from hypothesis import settings

pytest_plugins = ["tests.stores", "tests.vllm_server", "tests.sandbox_server"]

# A busy machine is no finding: no test claims how long anything takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
