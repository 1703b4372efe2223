"""Writes a SCREEN.yaml and a platemap beside two public plates, from the metadata that came with them.

    python examples/real_plates.py DATA_DIR OUT_DIR --weights FILE

`DATA_DIR` holds `sbs_foxo_plate` (a dose response of FOXO translocation, one plate) and `imagehts_sirna` (an siRNA
screen, two replicate plates). `OUT_DIR/sbs_foxo` and `OUT_DIR/imagehts` then hold what `hcs check` and `hcs run` take;
`OUT_DIR/sbs_foxo/ENCODERS.yaml` is the same plate with the packaged encoders and their baselines.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from hcs.io.storage import write_atomically
from hcs.io.tables import read_table, write_table
from hcs.screenfile import screen_yaml
from schemas.screen import ControlNames, EncoderChoice, PixelsConfig, PlateEntry, ScreenConfig

SBS_CONTROLS = {"-1": ("negcon", "negative"), "1": ("poscon", "positive"), "0": ("treatment", "compound")}
"""`SBS_Controls` -> type of the well and what it is called."""

SIRNA_WELLS = {
    "A03": ("poscon", "UBC"),
    "B03": ("poscon", "UBC"),
    "C03": ("negcon", "RLUC"),
    "D03": ("negcon", "RLUC"),
    "A05": ("treatment", None),
    "B05": ("treatment", None),
}
"""The wells that were imaged (`plateconf.txt`); the siRNA of a sample is called after its gene (`annotation.txt`)."""


def main() -> None:
    """Write both screens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with sbs_foxo_plate and imagehts_sirna")
    parser.add_argument("out", type=Path, help="folder that sbs_foxo/ and imagehts/ are written into")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors of tf_mobilenetv3_large_minimal_100")
    given = parser.parse_args()
    data, out = given.data.resolve(), given.out.resolve()
    encoder = EncoderChoice(
        name="tf_mobilenetv3_large_minimal_100",
        weights=str(given.weights.resolve()),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    foxo = sbs_screen(data / "sbs_foxo_plate", encoder)
    write_screen(out / "sbs_foxo", foxo, sbs_wells(data / "sbs_foxo_plate"))
    write_atomically(str(out / "sbs_foxo" / "ENCODERS.yaml"), screen_yaml(with_packaged(foxo)).encode())
    sirna = data / "imagehts_sirna" / "submorph"
    write_screen(out / "imagehts", sirna_screen(sirna, encoder), sirna_wells(sirna))


def write_screen(folder: Path, config: ScreenConfig, wells: pl.DataFrame) -> None:
    """Write SCREEN.yaml and platemap.csv into a folder."""
    write_table(wells, str(folder / "platemap.csv"))
    write_atomically(str(folder / "SCREEN.yaml"), screen_yaml(config).encode())


def with_packaged(config: ScreenConfig) -> ScreenConfig:
    """Return a screen for judging encoders: the packaged ones make `combined`, all others stand beside them."""
    combined = ("efficientvit_b0.hcs", "mobilenetv3_small_100.hcs", "named")
    beside = ("efficientvit_b0.untrained", "mobilenetv3_small_100.untrained")
    content = config.model_dump(exclude_none=True)
    content["screen"] += "-encoders"
    content["encoders"] = [*({"name": name} for name in (*combined, *beside)), *content["encoders"]]
    content["profile"]["combine"] = combined
    return ScreenConfig.model_validate(content)


def sbs_screen(delivery: Path, encoder: EncoderChoice) -> ScreenConfig:
    """Return the screen of the FOXO plate: 48 wells, GFP-FOXO1A and DNA, 640 x 640 pixels."""
    return ScreenConfig(
        screen="sbs-foxo",
        plates=(PlateEntry(uri=str(delivery), barcode="sbs_foxo_plate", layout="files"),),
        platemaps="platemap.csv",
        pattern="Channel{channel}-{_}-{row}-{column}.tif",
        channels={"1": "GFP", "2": "DNA"},
        encoders=(encoder,),
        pixels=PixelsConfig(tile=224),
        controls=ControlNames(negcon=("negative",), poscon=("positive",)),
    )


def sbs_wells(delivery: Path) -> pl.DataFrame:
    """Return the platemap of the FOXO plate; concentrations were not delivered, only steps of dose."""
    delivered = read_table(str(delivery / "1049_Metadata.csv"), as_strings=True)
    kind = pl.col("SBS_Controls")
    return delivered.select(
        well=pl.col("Row") + pl.col("Column"),
        perturbation=kind.replace_strict({key: name for key, (_, name) in SBS_CONTROLS.items()}),
        dose=pl.when(kind == "0").then(pl.col("SBS_Doses").cast(pl.Int32)),
        control_type=kind.replace_strict({key: control_type for key, (control_type, _) in SBS_CONTROLS.items()}),
    ).sort("well")


def sirna_screen(folder: Path, encoder: EncoderChoice) -> ScreenConfig:
    """Return the screen of the siRNA plates: 2 replicates x 6 wells; Tritc stains actin, FITC tubulin."""
    plates = ("PK-10B-pl1", "PK-11B-pl1")
    return ScreenConfig(
        screen="imagehts-sirna",
        plates=tuple(
            PlateEntry(uri=str(folder / "source"), barcode=plate, layout="files", batch=plate) for plate in plates
        ),
        platemaps="platemap.csv",
        pattern="{plate}/Well-{row}{column}/{channel}.jpeg",
        channels={"Hoechst": "DNA", "Tritc": "Tritc", "FITC": "FITC"},
        encoders=(encoder,),
        pixels=PixelsConfig(tile=224),
        controls=ControlNames(negcon=("RLUC",), poscon=("UBC",)),
    )


def sirna_wells(folder: Path) -> pl.DataFrame:
    """Return the platemap of the siRNA plates: controls by name, samples by the gene that is silenced."""
    genes = dict(
        read_table(str(folder / "conf" / "annotation.txt"), as_strings=True).select("Well", "GeneID").iter_rows()
    )
    rows = [(well, name or genes[well], control_type) for well, (control_type, name) in SIRNA_WELLS.items()]
    return pl.DataFrame(rows, schema=["well", "perturbation", "control_type"], orient="row").sort("well")


if __name__ == "__main__":
    main()
