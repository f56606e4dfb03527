"""Questions that people have to answer, corrections in place, and what was uninstalled."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "support_case",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("thread_ts", sa.String(), nullable=False),
        sa.Column("ts", sa.String(), nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=True),
        sa.Column("opened_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("resolved_by", sa.String(), nullable=True),
        _time("opened_at"),
        _time("claimed_at", nullable=True),
        _time("resolved_at", nullable=True),
        sa.ForeignKeyConstraint(["question_id"], ["question.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("team_id", "channel", "ts"),
    )
    op.create_index("support_case_status", "support_case", ["team_id", "status"])
    op.create_index("question_thread", "question", ["team_id", "channel", "thread_ts"])
    unsettled = sa.text("status IN ('open', 'claimed')")
    op.create_index(
        "one_open_case", "support_case", ["team_id", "channel", "thread_ts"], unique=True,
        sqlite_where=unsettled, postgresql_where=unsettled,
    )  # fmt: skip
    with op.batch_alter_table("answer") as answer:
        answer.add_column(sa.Column("correction_id", sa.Integer(), nullable=True))
        answer.add_column(sa.Column("threshold", sa.Float(), nullable=True))
    with op.batch_alter_table("feedback") as feedback:
        feedback.add_column(
            sa.Column("decides", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("feedback") as feedback:
        feedback.alter_column("decides", server_default=None)
    op.add_column("team", _time("removed_at", nullable=True))
    op.add_column("evaluation", sa.Column("picture", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_index("question_thread", "question")
    op.drop_column("evaluation", "picture")
    op.drop_column("team", "removed_at")
    with op.batch_alter_table("feedback") as feedback:
        feedback.drop_column("decides")
    with op.batch_alter_table("answer") as answer:
        answer.drop_column("threshold")
        answer.drop_column("correction_id")
    op.drop_table("support_case")
