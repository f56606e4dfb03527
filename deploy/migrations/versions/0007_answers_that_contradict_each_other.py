"""Answers that contradict each other are found, and staff settle them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("example") as example:
        example.add_column(sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True))
    # What is there already is only compared with what comes: an upgrade retires nothing.
    op.execute("UPDATE example SET compared_at = changed_at")
    op.create_table(
        "conflict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("newer_id", sa.Integer(), nullable=False),
        sa.Column("older_id", sa.Integer(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["newer_id"], ["example.id"]),
        sa.ForeignKeyConstraint(["older_id"], ["example.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("newer_id", "older_id"),
    )
    op.create_index("conflict_status", "conflict", ["team_id", "status"])
    op.create_index("ix_conflict_older_id", "conflict", ["older_id"])


def downgrade() -> None:
    op.drop_table("conflict")
    with op.batch_alter_table("example") as example:
        example.drop_column("compared_at")
