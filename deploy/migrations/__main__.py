"""``python -m deploy.migrations 0002 "What it adds"``: write the revision schema.py asks for."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from bot.store.database import open_engine, transaction
from deploy.migrate import config, upgrade


def main(number: str, message: str) -> None:
    """Write the difference between the newest revision and the tables as revision `number`."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'current.db'}"
        upgrade(url)
        with transaction(open_engine(url)) as session:
            settings = config(session.connection())
            command.revision(settings, message=message, rev_id=number, autogenerate=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
