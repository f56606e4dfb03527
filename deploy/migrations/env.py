"""What Alembic runs: the revisions, on the connection that `deploy.migrate` opened.

To write a new revision, change `bot/store/schema.py` and run `python -m deploy.migrate "what it adds"`.
"""

from alembic import context
from sqlmodel import SQLModel

from bot.store import schema  # noqa: F401  (fills the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
