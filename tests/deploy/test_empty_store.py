"""A measurement never touches a store that somebody uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from deploy.empty_store import NotEmpty, make_store
from tests.stores import opened


def test_an_empty_database_gets_its_tables(tmp_path: Path) -> None:
    """The tables are there afterwards."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    make_store(url)
    with opened(url) as engine:
        assert "inbox" in inspect(engine).get_table_names()


def test_a_database_with_tables_is_refused(tmp_path: Path) -> None:
    """Whatever tables they are, and nothing is added to them."""
    url = f"sqlite:///{tmp_path / 'used.db'}"
    with opened(url) as engine:
        _make_table(engine)
        with pytest.raises(NotEmpty, match="a database of its own"):
            make_store(url)
        assert inspect(engine).get_table_names() == ["mine"]


def _make_table(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (id INTEGER)")
