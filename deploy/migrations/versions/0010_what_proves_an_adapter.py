"""What proves that an adapter answers, since when a server is in trouble, and who asks to look."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("adapter", sa.Column("probe", sa.JSON(), nullable=True))
    for name in ("trouble_since", "look_at"):
        op.add_column("replica", sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ("look_at", "trouble_since"):
        op.drop_column("replica", name)
    op.drop_column("adapter", "probe")
