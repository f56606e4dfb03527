"""A run tries several recipes: each with its adapter and its evaluation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAMES = {"uq": "%(table_name)s_%(column_0_N_name)s_key"}
# What was tried before had one recipe, and its name in it.
RUN = sa.table(
    "run", sa.column("id"), sa.column("team_id"), sa.column("recipe", sa.JSON()),
    sa.column("adapter_id"), sa.column("queued_at", sa.DateTime(timezone=True)),
    sa.column("status"), sa.column("dataset_id"),
)  # fmt: skip


def upgrade() -> None:
    trial = op.create_table(
        "trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("adapter_id", sa.Integer(), nullable=True),
        sa.Column("train_s", sa.Float(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=True),
        sa.Column("try_again", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapter.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "name"),
    )
    op.create_index("ix_trial_adapter_id", "trial", ["adapter_id"])
    # SQLite gave the old constraint no name: the convention finds it under PostgreSQL's.
    with op.batch_alter_table("evaluation", naming_convention=NAMES) as evaluation:
        evaluation.drop_constraint("evaluation_run_id_key", type_="unique")
        evaluation.create_unique_constraint(
            "evaluation_run_id_adapter_id_key", ["run_id", "adapter_id"]
        )
    # One under way has chosen its examples, and goes on from there.
    under_way = (RUN.c.status == "running") & RUN.c.dataset_id.is_not(None)
    tried = sa.select(RUN).where(RUN.c.adapter_id.is_not(None) | under_way)
    rows = [_trial(run) for run in op.get_bind().execute(tried).mappings()]
    if rows:
        op.bulk_insert(trial, rows)


def downgrade() -> None:
    op.drop_index("ix_trial_adapter_id", "trial")
    op.drop_table("trial")
    op.execute(
        "DELETE FROM evaluation_question WHERE evaluation_id IN (SELECT evaluation.id"
        " FROM evaluation JOIN run ON run.id = evaluation.run_id"
        " WHERE run.adapter_id != evaluation.adapter_id)"
    )
    op.execute(
        "DELETE FROM evaluation WHERE adapter_id !="
        " (SELECT run.adapter_id FROM run WHERE run.id = evaluation.run_id)"
    )
    with op.batch_alter_table("evaluation", naming_convention=NAMES) as evaluation:
        evaluation.drop_constraint("evaluation_run_id_adapter_id_key", type_="unique")
        evaluation.create_unique_constraint("evaluation_run_id_key", ["run_id"])


def _trial(run: sa.RowMapping) -> dict[str, object]:
    recipe = run["recipe"] or {}
    same = {name: run[name] for name in ("team_id", "adapter_id")}
    return same | {
        "run_id": run["id"], "name": recipe.get("name", "sft"), "recipe": recipe,
        "train_s": 0.0, "left_out": None, "try_again": False,
        "created_at": run["queued_at"],
    }  # fmt: skip
