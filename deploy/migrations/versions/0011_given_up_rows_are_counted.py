"""Rows that were given up are found without reading all others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FAILED = sa.text("status = 'failed'")


def upgrade() -> None:
    for table in ("inbox", "outbox"):
        op.create_index(
            f"{table}_failed", table, ["id"], sqlite_where=FAILED, postgresql_where=FAILED
        )


def downgrade() -> None:
    for table in ("inbox", "outbox"):
        op.drop_index(f"{table}_failed", table)
