"""Maps of runs' treatments, which take long to make: made once, and then read."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "groupings",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("everything", sa.Boolean(), nullable=False),
        sa.Column("form", sa.Integer(), nullable=False),
        sa.Column("results_sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_groupings_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "profile", "everything", "form", name=op.f("pk_groupings")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("groupings")
