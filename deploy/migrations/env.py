"""What Alembic runs: the revisions, on the connection that its caller opened."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlmodel import AutoString, SQLModel

from bot.store import schema


def _plain(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Revisions name SQLAlchemy's own types: they must not change when ours do."""
    plain = {schema.UtcDateTime: "sa.DateTime(timezone=True)", AutoString: "sa.String()"}
    if isinstance(item, sa.Enum):
        return f"sa.String(length={item.length})"
    return plain.get(type(item), False) if kind == "type" else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    render_item=_plain,
)
with context.begin_transaction():
    context.run_migrations()
