"""An answer's example says whether the weights recognised it, and how likely they found it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answer_example", sa.Column("recognised_logprob", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("answer_example", "recognised_logprob")
