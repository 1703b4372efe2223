"""The first tables: screens, plates, runs, the ledger, and results."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "screens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screens")),
        sa.UniqueConstraint("name", name=op.f("uq_screens_name")),
    )
    op.create_table(
        "plates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("screen_id", sa.Integer(), nullable=False),
        sa.Column("barcode", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("cell_line", sa.Text(), nullable=True),
        sa.Column("timepoint", sa.Text(), nullable=True),
        sa.Column("stain_lot", sa.Text(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("compound_lot", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["screen_id"], ["screens.id"], name=op.f("fk_plates_screen_id_screens")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plates")),
        sa.UniqueConstraint("screen_id", "barcode", name=op.f("uq_plates_screen_id_barcode")),
    )
    op.create_index(op.f("ix_plates_barcode"), "plates", ["barcode"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("screen_id", sa.Integer(), nullable=False),
        sa.Column("config_sha256", sa.String(length=64), nullable=False),
        sa.Column("repetition", sa.Integer(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("pin", sa.Text(), nullable=False),
        sa.Column("encoders", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "submitted",
                "running",
                "complete",
                "complete_with_holes",
                "failed",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("results_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["screen_id"], ["screens.id"], name=op.f("fk_runs_screen_id_screens")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("config_sha256", "repetition", name=op.f("uq_runs_config_sha256_repetition")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_screen_id"), "runs", ["screen_id"], unique=False)
    op.create_index(op.f("ix_runs_state_finished_at"), "runs", ["state", "finished_at"], unique=False)
    op.create_table(
        "calls",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("treatment", sa.Text(), nullable=False),
        sa.Column("control_type", sa.Text(), nullable=False),
        sa.Column("perturbation", sa.Text(), nullable=False),
        sa.Column("concentration_micromolar", sa.Double(), nullable=True),
        sa.Column("dose_step", sa.Double(), nullable=True),
        sa.Column("n_replicates", sa.Integer(), nullable=False),
        sa.Column("n_plates", sa.Integer(), nullable=False),
        sa.Column("n_batches", sa.Integer(), nullable=False),
        sa.Column("n_controls", sa.Integer(), nullable=False),
        sa.Column("mean_average_precision", sa.Double(), nullable=True),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.Column("smallest_possible_p", sa.Double(), nullable=True),
        sa.Column("q_value", sa.Double(), nullable=True),
        sa.Column("is_hit", sa.Boolean(), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("effect", sa.Double(), nullable=True),
        sa.Column("cell_count_ratio", sa.Double(), nullable=True),
        sa.Column("explained_by_count", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("smiles", sa.Text(), nullable=True),
        sa.Column("mechanism", sa.Text(), nullable=True),
        sa.Column("mechanism_source", sa.Text(), nullable=False),
        sa.Column("predicted_mechanism", sa.Text(), nullable=True),
        sa.Column("mechanism_evidence", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_calls_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "profile", "treatment", "control_type", name=op.f("pk_calls")),
    )
    op.create_index(op.f("ix_calls_run_id_perturbation"), "calls", ["run_id", "perturbation"], unique=False)
    op.create_index(op.f("ix_calls_run_id_profile_q_value"), "calls", ["run_id", "profile", "q_value"], unique=False)
    op.create_table(
        "neighbours",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("treatment", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("neighbour", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_neighbours_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "profile", "treatment", "rank", name=op.f("pk_neighbours")),
    )
    op.create_table(
        "profiles",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("relative_path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_rows", sa.Integer(), nullable=False),
        sa.Column("n_features", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_profiles_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_profiles")),
    )
    op.create_table(
        "run_plates",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("plate_id", sa.Integer(), nullable=False),
        sa.Column("root_uri", sa.Text(), nullable=False),
        sa.Column("layout", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("survey_sha256", sa.String(length=64), nullable=True),
        sa.Column("batch", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("cell_line", sa.Text(), nullable=True),
        sa.Column("timepoint", sa.Text(), nullable=True),
        sa.Column("stain_lot", sa.Text(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("compound_lot", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["plate_id"], ["plates.id"], name=op.f("fk_run_plates_plate_id_plates")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_plates_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "plate", name=op.f("pk_run_plates")),
    )
    op.create_index(op.f("ix_run_plates_plate_id"), "run_plates", ["plate_id"], unique=False)
    op.create_table(
        "call_mechanisms",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("folded_label", sa.Text(), nullable=False),
        sa.Column("treatment", sa.Text(), nullable=False),
        sa.Column("control_type", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "profile", "treatment", "control_type"],
            ["calls.run_id", "calls.profile", "calls.treatment", "calls.control_type"],
            name=op.f("fk_call_mechanisms_run_id_profile_treatment_control_type_calls"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_call_mechanisms_run_id_runs")),
        sa.PrimaryKeyConstraint(
            "run_id", "profile", "folded_label", "treatment", "control_type", name=op.f("pk_call_mechanisms")
        ),
    )
    op.create_table(
        "run_wells",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("well", sa.Text(), nullable=False),
        sa.Column("perturbation", sa.Text(), nullable=True),
        sa.Column("concentration_micromolar", sa.Double(), nullable=True),
        sa.Column("dose_step", sa.Double(), nullable=True),
        sa.Column("treatment", sa.Text(), nullable=True),
        sa.Column("control_type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("smiles", sa.Text(), nullable=True),
        sa.Column("inchikey", sa.Text(), nullable=True),
        sa.Column("mechanism", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("excluded_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id", "plate"],
            ["run_plates.run_id", "run_plates.plate"],
            name=op.f("fk_run_wells_run_id_plate_run_plates"),
        ),
        sa.PrimaryKeyConstraint("run_id", "plate", "well", name=op.f("pk_run_wells")),
    )
    op.create_index(op.f("ix_run_wells_run_id_perturbation"), "run_wells", ["run_id", "perturbation"], unique=False)
    op.create_index(op.f("ix_run_wells_run_id_treatment"), "run_wells", ["run_id", "treatment"], unique=False)
    op.create_table(
        "units",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "ready",
                "leased",
                "done",
                "failed",
                "quarantined",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("n_sites", sa.Integer(), nullable=False),
        sa.Column("n_failed_sites", sa.Integer(), nullable=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Text(), nullable=True),
        sa.Column("leased_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id", "plate"],
            ["run_plates.run_id", "run_plates.plate"],
            name=op.f("fk_units_run_id_plate_run_plates"),
        ),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_units")),
    )
    op.create_index(op.f("ix_units_key_state"), "units", ["key", "state"], unique=False)
    op.create_index(op.f("ix_units_run_id_plate"), "units", ["run_id", "plate"], unique=False)
    op.create_index(op.f("ix_units_run_id_state_ordinal"), "units", ["run_id", "state", "ordinal"], unique=False)
    op.create_table(
        "parts",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("unit_key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("relative_path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_rows", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "unit_key"], ["units.run_id", "units.key"], name=op.f("fk_parts_run_id_unit_key_units")
        ),
        sa.PrimaryKeyConstraint("run_id", "unit_key", "kind", "encoder", name=op.f("pk_parts")),
    )
    op.create_table(
        "sites",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("well", sa.Text(), nullable=False),
        sa.Column("site", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("cell_count", sa.Integer(), nullable=True),
        sa.Column("n_tiles", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("unit_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "unit_key"], ["units.run_id", "units.key"], name=op.f("fk_sites_run_id_unit_key_units")
        ),
        sa.PrimaryKeyConstraint("run_id", "plate", "well", "site", name=op.f("pk_sites")),
    )
    op.create_index(op.f("ix_sites_run_id_status"), "sites", ["run_id", "status"], unique=False)
    op.create_index(op.f("ix_sites_run_id_unit_key"), "sites", ["run_id", "unit_key"], unique=False)
    op.create_table(
        "site_channels",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("well", sa.Text(), nullable=False),
        sa.Column("site", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("power_loglog_slope", sa.Double(), nullable=True),
        sa.Column("saturation_fraction", sa.Double(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("sd", sa.Double(), nullable=False),
        sa.Column("percentile_1", sa.Double(), nullable=False),
        sa.Column("percentile_99", sa.Double(), nullable=False),
        sa.Column("unit_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "plate", "well", "site"],
            ["sites.run_id", "sites.plate", "sites.well", "sites.site"],
            name=op.f("fk_site_channels_run_id_plate_well_site_sites"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "unit_key"], ["units.run_id", "units.key"], name=op.f("fk_site_channels_run_id_unit_key_units")
        ),
        sa.PrimaryKeyConstraint("run_id", "plate", "well", "site", "channel", name=op.f("pk_site_channels")),
    )
    op.create_index(op.f("ix_site_channels_run_id_unit_key"), "site_channels", ["run_id", "unit_key"], unique=False)


def downgrade() -> None:
    """Drop every table."""
    op.drop_index(op.f("ix_site_channels_run_id_unit_key"), table_name="site_channels")
    op.drop_table("site_channels")
    op.drop_index(op.f("ix_sites_run_id_unit_key"), table_name="sites")
    op.drop_index(op.f("ix_sites_run_id_status"), table_name="sites")
    op.drop_table("sites")
    op.drop_table("parts")
    op.drop_index(op.f("ix_units_run_id_state_ordinal"), table_name="units")
    op.drop_index(op.f("ix_units_run_id_plate"), table_name="units")
    op.drop_index(op.f("ix_units_key_state"), table_name="units")
    op.drop_table("units")
    op.drop_index(op.f("ix_run_wells_run_id_treatment"), table_name="run_wells")
    op.drop_index(op.f("ix_run_wells_run_id_perturbation"), table_name="run_wells")
    op.drop_table("run_wells")
    op.drop_table("call_mechanisms")
    op.drop_index(op.f("ix_run_plates_plate_id"), table_name="run_plates")
    op.drop_table("run_plates")
    op.drop_table("profiles")
    op.drop_table("neighbours")
    op.drop_index(op.f("ix_calls_run_id_profile_q_value"), table_name="calls")
    op.drop_index(op.f("ix_calls_run_id_perturbation"), table_name="calls")
    op.drop_table("calls")
    op.drop_index(op.f("ix_runs_state_finished_at"), table_name="runs")
    op.drop_index(op.f("ix_runs_screen_id"), table_name="runs")
    op.drop_table("runs")
    op.drop_index(op.f("ix_plates_barcode"), table_name="plates")
    op.drop_table("plates")
    op.drop_table("screens")
