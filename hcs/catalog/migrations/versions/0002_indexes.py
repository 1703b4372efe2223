"""Indexes for the files of one kind, and for removing the calls of a run."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.create_index(op.f("ix_parts_run_id_kind"), "parts", ["run_id", "kind"], unique=False)
    op.create_index(
        op.f("ix_call_mechanisms_run_id_profile_treatment_control_type"),
        "call_mechanisms",
        ["run_id", "profile", "treatment", "control_type"],
        unique=False,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f("ix_call_mechanisms_run_id_profile_treatment_control_type"), table_name="call_mechanisms")
    op.drop_index(op.f("ix_parts_run_id_kind"), table_name="parts")
