"""A run keeps the loss of its training, and an evaluation its report as a page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run") as run:
        run.add_column(sa.Column("curve", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("run") as run:
        run.alter_column("curve", server_default=None)
    with op.batch_alter_table("evaluation") as evaluation:
        evaluation.add_column(sa.Column("page", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("evaluation") as evaluation:
        evaluation.drop_column("page")
    with op.batch_alter_table("run") as run:
        run.drop_column("curve")
