"""The history of the tables, as Alembic revisions; `deploy.migrate` runs them."""
