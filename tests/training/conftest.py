"""Fixtures of the training tests."""

from tests.training.adapters import trained_adapter

__all__ = ["trained_adapter"]
