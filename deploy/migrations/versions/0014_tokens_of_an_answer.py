"""How many tokens an answer took, for other systems that ask."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("prompt_tokens", "completion_tokens"):
        op.add_column("answer", sa.Column(name, sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in ("completion_tokens", "prompt_tokens"):
        op.drop_column("answer", name)
