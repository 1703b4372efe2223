"""Calls say what else could explain them; those of earlier runs have nulls there, since it was not tested."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NUMBERS = ("p_position", "smallest_possible_p_position", "other_positions_precision", "flagged_share_of_controls")
_COUNTS = ("n_other_positions", "n_batches_testable", "n_batches_holding", "n_judged", "n_flagged")
_WORDS = ("position_verdict", "channel_verdict", "channel", "batch_verdict", "quality_verdict")


def upgrade() -> None:
    """Add the columns."""
    for kind, names in ((sa.Double(), _NUMBERS), (sa.Integer(), _COUNTS), (sa.Text(), _WORDS)):
        for name in names:
            op.add_column("calls", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Drop them, and what they hold."""
    for name in (*_WORDS, *_COUNTS, *_NUMBERS):
        op.drop_column("calls", name)
