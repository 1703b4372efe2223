"""Flags of sites are kept with the results of a run, and channels know their unit by their site."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and leave out what is said twice."""
    op.create_table(
        "flagged_sites",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("well", sa.Text(), nullable=False),
        sa.Column("site", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "plate", "well", "site"],
            ["sites.run_id", "sites.plate", "sites.well", "sites.site"],
            name=op.f("fk_flagged_sites_run_id_plate_well_site_sites"),
        ),
        sa.PrimaryKeyConstraint("run_id", "plate", "well", "site", name=op.f("pk_flagged_sites")),
    )
    op.add_column("runs", sa.Column("has_flags", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.drop_index(op.f("ix_site_channels_run_id_unit_key"), table_name="site_channels")
    with op.batch_alter_table("site_channels") as table:
        table.drop_constraint(op.f("fk_site_channels_run_id_unit_key_units"), type_="foreignkey")
        table.drop_column("unit_key")


def downgrade() -> None:
    """Say it twice again."""
    with op.batch_alter_table("site_channels") as table:
        table.add_column(sa.Column("unit_key", sa.String(length=64), nullable=True))
    op.execute(
        "UPDATE site_channels SET unit_key = (SELECT sites.unit_key FROM sites WHERE sites.run_id = "
        "site_channels.run_id AND sites.plate = site_channels.plate AND sites.well = site_channels.well "
        "AND sites.site = site_channels.site)"
    )
    with op.batch_alter_table("site_channels") as table:
        table.alter_column("unit_key", existing_type=sa.String(length=64), nullable=False)
        table.create_foreign_key(
            op.f("fk_site_channels_run_id_unit_key_units"), "units", ["run_id", "unit_key"], ["run_id", "key"]
        )
    op.create_index(op.f("ix_site_channels_run_id_unit_key"), "site_channels", ["run_id", "unit_key"], unique=False)
    op.drop_column("runs", "has_flags")
    op.drop_table("flagged_sites")
