"""Answers change in place when their question is edited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAMES = {
    "uq": "%(table_name)s_%(column_0_name)s_key",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
}
CURRENT = sa.text("replaced_at IS NULL")


def upgrade() -> None:
    # SQLite gave the old constraint no name: the convention finds it under PostgreSQL's.
    with op.batch_alter_table("answer", naming_convention=NAMES) as answer:
        answer.add_column(sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True))
        answer.drop_constraint("answer_question_id_key", type_="unique")
    op.create_index(
        "one_answer", "answer", ["question_id"], unique=True, sqlite_where=CURRENT,
        postgresql_where=CURRENT,
    )  # fmt: skip
    with op.batch_alter_table("outbox", naming_convention=NAMES) as outbox:
        outbox.add_column(sa.Column("follows_id", sa.Integer(), nullable=True))
        outbox.create_foreign_key("outbox_follows_id_fkey", "outbox", ["follows_id"], ["id"])
        outbox.create_index("ix_outbox_follows_id", ["follows_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("outbox", naming_convention=NAMES) as outbox:
        outbox.drop_index("ix_outbox_follows_id")
        outbox.drop_constraint("outbox_follows_id_fkey", type_="foreignkey")
        outbox.drop_column("follows_id")
    op.drop_index("one_answer", "answer")
    op.execute("DELETE FROM answer WHERE replaced_at IS NOT NULL")
    with op.batch_alter_table("answer", naming_convention=NAMES) as answer:
        answer.create_unique_constraint("answer_question_id_key", ["question_id"])
        answer.drop_column("replaced_at")
