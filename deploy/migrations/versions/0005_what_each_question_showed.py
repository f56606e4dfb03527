"""Evaluations keep each question and may end without a verdict; admins pin questions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("evaluation") as evaluation:
        evaluation.add_column(
            sa.Column("enough", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    with op.batch_alter_table("evaluation") as evaluation:
        evaluation.alter_column("enough", server_default=None)
    op.create_table(
        "evaluation_question",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("example_id", sa.Integer(), nullable=True),
        sa.Column("cluster", sa.Integer(), nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("slices", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluation.id"]),
        sa.ForeignKeyConstraint(["example_id"], ["example.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("evaluation_id", "example_id"):
        op.create_index(f"ix_evaluation_question_{name}", "evaluation_question", [name])
    op.create_table(
        "pin",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("must", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("team_id", "question"),
    )


def downgrade() -> None:
    op.drop_table("pin")
    op.drop_table("evaluation_question")
    op.execute("UPDATE run SET status = 'kept' WHERE status = 'unclear'")
    with op.batch_alter_table("evaluation") as evaluation:
        evaluation.drop_column("enough")
