from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from hcs.errors import UsageError
from hcs.io.acceptance import accept
from hcs.io.layouts import read_delivery
from hcs.io.platemaps import read_plate_wells
from schemas.acceptance import AcceptanceReport, FindingKind, Severity, Verdict
from schemas.screen import ScreenConfig
from schemas.tables import PlateWells

K = FindingKind
WELLS = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in (1, 2)]
PATTERN = "{well}_s{site}_{channel}.tif"


class Plate:
    """A good plate of 16 wells x 2 sites x 2 channels with its platemap, and how it is checked."""

    def __init__(self, folder: Path, platemap: Path) -> None:
        self.folder = folder
        self.platemap = platemap
        self.fields: dict[str, object] = {"platemaps": str(platemap), "pattern": PATTERN}
        self.entry: dict[str, object] = {"uri": str(folder)}

    def check(self, *, decode: str = "headers", threads: int = 2) -> AcceptanceReport:
        config = ScreenConfig.model_validate({"screen": "s", "plates": [self.entry], **self.fields})
        delivery = read_delivery(config.plates[0], config)
        return accept(
            delivery, read_plate_wells(config, [delivery.plate]), config=config, decode=decode, threads=threads
        )


def describe(wells: list[str], *, negative: int = 16) -> str:
    kinds = [("DMSO", "negcon"), ("pos", "poscon"), ("x", "trt")]
    lines = [f"{well},{','.join(kinds[0 if index < negative else 1 + index % 2])}" for index, well in enumerate(wells)]
    return "\n".join(["well,compound,control_type", *lines]) + "\n"


@pytest.fixture
def plate(make_files: Callable[..., Path], tmp_path: Path) -> Plate:
    folder = make_files(wells=[*WELLS, *(f"{well[0]}{int(well[1:]) + 2:02d}" for well in WELLS)])
    platemap = tmp_path / "platemap.csv"
    platemap.write_text(describe([*WELLS, *(f"{well[0]}{int(well[1:]) + 2:02d}" for well in WELLS)]))
    return Plate(folder, platemap)


def kinds(report: AcceptanceReport) -> set[FindingKind]:
    return {finding.kind for finding in report.findings}


def test_a_good_plate_is_accepted_without_a_word(plate: Plate) -> None:
    for decode in ("headers", "all"):
        report = plate.check(decode=decode)

        assert (report.verdict, report.findings) == (Verdict.ACCEPT, ())
        assert report.expected == report.delivered
        assert (report.delivered.wells, report.delivered.sites, report.delivered.images) == (32, 64, 128)
        assert (report.n_negcon_wells, report.n_poscon_wells, report.n_treatment_wells) == (16, 8, 8)
        assert report.channels == ("DNA", "ER")


def _remove(*names: str) -> Callable[[Plate], None]:
    return lambda plate: [(plate.folder / name).unlink() for name in names] and None


def _write(name: str, content: bytes) -> Callable[[Plate], None]:
    return lambda plate: (plate.folder / name).write_bytes(content) and None


def _image(name: str, pixels: np.ndarray) -> Callable[[Plate], None]:
    return lambda plate: tifffile.imwrite(plate.folder / name, pixels)


def _cut(name: str, size: int) -> Callable[[Plate], None]:
    def cut(plate: Plate) -> None:
        data = (plate.folder / name).read_bytes()
        (plate.folder / name).write_bytes(data[:size])

    return cut


def _map(change: Callable[[str], str]) -> Callable[[Plate], None]:
    return lambda plate: plate.platemap.write_text(change(plate.platemap.read_text())) and None


def _field(**fields: object) -> Callable[[Plate], None]:
    return lambda plate: plate.fields.update(fields)


def _both(*changes: Callable[[Plate], None]) -> Callable[[Plate], None]:
    def change(plate: Plate) -> None:
        for one in changes:
            one(plate)

    return change


def _of_plate(plate: str, text: str) -> str:
    header, *rows = text.splitlines()
    return "\n".join([f"plate,{header}", *(f"{plate},{row}" for row in rows)])


NOISE = np.random.default_rng(0).integers(0, 4000, (24, 32), dtype=np.uint16)
ALL_DNA = [f"{row}{column:02d}_s{site}_DNA.tif" for row in "ABCDEFGH" for column in range(1, 5) for site in (1, 2)]
A01 = [f"A01_s{site}_{channel}.tif" for site in (1, 2) for channel in ("DNA", "ER")]

MUTATIONS: list[tuple[str, Callable[[Plate], None], FindingKind, int, Verdict]] = [
    ("one well", _remove(*A01), K.MISSING_WELL, 1, Verdict.ACCEPT_WITH_HOLES),
    ("one site", _remove(*A01[2:]), K.MISSING_SITE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("one image", _remove(A01[0]), K.MISSING_CHANNEL, 1, Verdict.ACCEPT_WITH_HOLES),
    ("a channel", _both(_remove(*ALL_DNA), _field(channels={"DNA": "DNA", "ER": "ER"})), K.MISSING_CHANNEL, 64,
     Verdict.REJECT),
    ("a copy", _image("A1_s1_DNA.tif", NOISE), K.DUPLICATE_IMAGE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("an empty file", _write(A01[0], b""), K.UNREADABLE_IMAGE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("a text file", _write(A01[0], b"export failed"), K.UNREADABLE_IMAGE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("a truncated file", _cut(A01[0], 700), K.UNREADABLE_IMAGE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("a header alone", _cut(A01[0], 8), K.UNREADABLE_IMAGE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("a flood", lambda plate: tifffile.imwrite(plate.folder / A01[0], np.zeros((8000, 8000), np.uint8),
     compression="zstd", rowsperstrip=8000), K.IMPLAUSIBLE_IMAGE, 1, Verdict.ACCEPT_WITH_HOLES),
    ("another size", _image(A01[0], NOISE[:20]), K.SIZE_MISMATCH, 1, Verdict.ACCEPT_WITH_HOLES),
    ("another depth", _image(A01[0], NOISE.astype(np.uint8)), K.PIXEL_TYPE_MISMATCH, 1, Verdict.ACCEPT_WITH_HOLES),
    ("a stranger", _write("Thumbs.db", b"x"), K.UNRECOGNISED_FILE, 1, Verdict.ACCEPT),
    ("an unnamed channel", _field(channels={"DNA": "DNA"}), K.UNMAPPED_CHANNEL, 64, Verdict.ACCEPT),
    ("no platemap", _field(platemaps=None), K.PLATEMAP_MISSING, 1, Verdict.ACCEPT_WITH_HOLES),
    ("another plate's platemap", _map(lambda text: _of_plate("P2", text)), K.PLATEMAP_MISSING, 1,
     Verdict.ACCEPT_WITH_HOLES),
    ("a shifted platemap", _map(lambda text: describe(["I05", "J06", "K07"])), K.PLATEMAP_MISMATCH, 2, Verdict.REJECT),
    ("a short platemap", _map(lambda text: text.replace("A01,DMSO,negcon\n", "")), K.WELL_NOT_IN_PLATEMAP, 1,
     Verdict.ACCEPT_WITH_HOLES),
    ("no negatives", _map(lambda text: text.replace("DMSO,negcon", "y,trt")), K.NO_NEGATIVE_CONTROL, 1,
     Verdict.ACCEPT_WITH_HOLES),
    ("15 negatives", _map(lambda text: text.replace("A01,DMSO,negcon", "A01,y,trt")), K.FEW_NEGATIVE_CONTROLS, 15,
     Verdict.ACCEPT),
    ("no positives", _map(lambda text: text.replace("pos,poscon", "y,trt")), K.NO_POSITIVE_CONTROL, 1, Verdict.ACCEPT),
    ("an excluded well", _field(exclude_wells=[{"P1:C03": "a bubble"}]), K.EXCLUDED_WELL, 1, Verdict.ACCEPT),
    ("sites from 0", lambda plate: [path.rename(path.with_name(path.name.replace("_s2_", "_s0_")))
     for path in sorted(plate.folder.glob("*_s2_*"))] and None, K.NUMBERED_FROM_ZERO, 128, Verdict.ACCEPT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mutate", "kind", "count", "verdict"), [item[1:] for item in MUTATIONS], ids=[m[0] for m in MUTATIONS]
)
def test_every_mutation_of_a_good_plate_is_named(
    plate: Plate, *, mutate: Callable[[Plate], None], kind: FindingKind, count: int, verdict: Verdict
) -> None:
    mutate(plate)

    report = plate.check()

    (finding,) = [finding for finding in report.findings if finding.kind is kind]
    assert (finding.count, report.verdict) == (count, verdict)
    assert finding.consequence
    assert len(finding.examples) <= 10


def test_a_mutation_says_nothing_that_is_not_so(plate: Plate) -> None:
    _remove(A01[0])(plate)

    report = plate.check()

    (finding,) = report.findings
    assert (finding.kind, finding.place, finding.examples) == (K.MISSING_CHANNEL, "DNA", ("A01 site 1",))
    assert (report.expected.images, report.delivered.images) == (128, 127)


def test_a_changed_byte_in_packed_pixels_is_found_only_by_decoding(plate: Plate) -> None:
    path = plate.folder / A01[0]
    tifffile.imwrite(path, NOISE, compression="deflate")
    data = bytearray(path.read_bytes())
    data[-200:-100] = bytes(100)
    path.write_bytes(bytes(data))

    assert K.UNREADABLE_IMAGE not in kinds(plate.check())
    assert K.UNREADABLE_IMAGE in kinds(plate.check(decode="all"))


def test_a_plate_of_which_no_file_can_be_read_is_rejected(plate: Plate) -> None:
    for path in plate.folder.iterdir():
        path.write_bytes(b"II*\0")

    report = plate.check()

    assert report.verdict is Verdict.REJECT
    assert {K.NO_IMAGES, K.UNREADABLE_IMAGE} <= kinds(report)


def test_a_table_whose_files_did_not_come_is_rejected_with_what_is_missing(plate: Plate, tmp_path: Path) -> None:
    rows = [
        {
            "Metadata_Well": well,
            "Metadata_Site": site,
            "FileName_OrigDNA": f"{well}-{site}.tif",
            "PathName_OrigDNA": "/x",
        }
        for well in WELLS
        for site in (1, 2)
    ]
    (tmp_path / "gone").mkdir()
    pl.DataFrame(rows).write_csv(tmp_path / "gone" / "load_data.csv")
    plate.entry["uri"] = str(tmp_path / "gone")
    plate.fields["platemaps"] = None

    report = plate.check()

    assert report.verdict is Verdict.REJECT
    assert {K.NO_IMAGES, K.MISSING_FILE, K.MISSING_WELL} <= kinds(report)
    assert (report.expected.images, report.delivered.images) == (32, 0)


def test_a_platemap_of_a_larger_format_has_orphans(plate: Plate) -> None:
    all_wells = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]
    for well in all_wells:
        for name in A01:
            if not (plate.folder / name.replace("A01", well)).exists():
                tifffile.imwrite(plate.folder / name.replace("A01", well), NOISE)
    plate.platemap.write_text(describe([*all_wells, "P24", "A13"]))

    (orphans,) = [finding for finding in plate.check().findings if finding.kind is K.PLATEMAP_ORPHAN_WELL]

    assert orphans.examples == ("A13", "P24")
    assert K.MISSING_WELL not in kinds(plate.check())


def test_a_few_wells_of_a_plate_do_not_say_its_format(plate: Plate) -> None:
    plate.platemap.write_text(describe([*WELLS, "P24"]))

    report = plate.check()

    assert K.PLATEMAP_ORPHAN_WELL not in kinds(report)
    (missing,) = [finding for finding in report.findings if finding.kind is K.MISSING_WELL]
    assert missing.examples == ("P24",)


def test_empty_wells_are_neither_expected_nor_counted(plate: Plate) -> None:
    _map(lambda text: text + "H12,,empty\n")(plate)

    report = plate.check()

    assert report.verdict is Verdict.ACCEPT
    assert report.expected.wells == 32


def test_excluded_controls_do_not_count(plate: Plate) -> None:
    _field(exclude_wells=[{"P1:A01": "dirty"}, {"P2:A02": "another plate"}])(plate)

    report = plate.check()

    assert report.n_negcon_wells == 15
    (excluded,) = [finding for finding in report.findings if finding.kind is K.EXCLUDED_WELL]
    assert excluded.examples == ("A01: dirty",)


def test_treatments_without_a_mechanism_are_counted_where_others_have_one(plate: Plate) -> None:
    assert K.PERTURBATION_NOT_ANNOTATED not in kinds(plate.check())
    lines = plate.platemap.read_text().splitlines()
    changed = [
        line.replace(",x,", f",x{index % 3},") + (",COX" if ",x," in line and index % 3 else ",")
        for index, line in enumerate(lines[1:])
    ]
    plate.platemap.write_text("\n".join([f"{lines[0]},moa", *changed]))

    (finding,) = [item for item in plate.check().findings if item.kind is K.PERTURBATION_NOT_ANNOTATED]

    assert (finding.severity, finding.examples) == (Severity.NOTE, ("x0",))


def test_z_planes_that_are_missing_are_named(plate: Plate, tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    for well in WELLS:
        for z in range(3):
            tifffile.imwrite(folder / f"{well}_z{z}_DNA.tif", NOISE)
    (folder / "C01_z1_DNA.tif").unlink()
    plate.entry["uri"] = str(folder)
    plate.fields |= {"pattern": "{well}_z{z}_{channel}.tif", "platemaps": None}

    report = plate.check()

    (finding,) = [item for item in report.findings if item.kind is K.MISSING_FILE]
    assert (finding.place, finding.examples) == ("stack z planes", ("C01 site 1 DNA",))
    assert (report.expected.images, report.delivered.images) == (48, 47)


def test_wells_with_other_sites_but_as_many_are_complete(plate: Plate) -> None:
    for path in sorted(plate.folder.glob("[A-D]*_s2_*")):
        path.rename(path.with_name(path.name.replace("_s2_", "_s7_")))
    assert plate.check().findings == ()

    for channel in ("DNA", "ER"):
        (plate.folder / f"A01_s7_{channel}.tif").unlink()

    (finding,) = plate.check().findings
    assert (finding.kind, finding.count, finding.examples[0]) == (K.MISSING_SITE, 1, "A01 site 2")


def test_several_time_points_are_a_hole(plate: Plate) -> None:
    plate.fields["pattern"] = "{well}_s{timepoint}_{channel}.tif"

    (finding,) = [item for item in plate.check().findings if item.kind is K.SEVERAL_TIMEPOINTS]

    assert (finding.severity, finding.examples) == (Severity.HOLE, ("1", "2"))


def test_a_stack_is_unreadable_where_stacks_are_refused(plate: Plate) -> None:
    tifffile.imwrite(plate.folder / A01[0], np.stack([NOISE, NOISE]), photometric="minisblack")

    assert plate.check().verdict is Verdict.ACCEPT
    plate.fields["pixels"] = {"projection": "none"}
    assert K.UNREADABLE_IMAGE in kinds(plate.check())


def test_the_report_is_the_same_whatever_the_threads_and_the_folder(plate: Plate, tmp_path: Path) -> None:
    _cut(A01[0], 700)(plate)
    _remove(A01[2])(plate)
    here = plate.check(threads=1).model_dump_json()
    several = plate.check(threads=8).model_dump_json()
    moved = tmp_path / "elsewhere" / "P1"
    moved.parent.mkdir()
    plate.folder.rename(moved)
    plate.entry["uri"] = str(moved)
    there = plate.check(threads=3).model_dump_json()

    assert here == several
    assert there.replace(str(moved), str(plate.folder)) == here


def test_the_gravest_finding_comes_first(plate: Plate) -> None:
    _map(lambda text: describe(["I05"]))(plate)
    _write("Thumbs.db", b"x")(plate)
    _cut(A01[0], 700)(plate)

    severities = [finding.severity for finding in plate.check().findings]

    assert severities == sorted(severities, key=["fatal", "hole", "note"].index)
    assert severities[0] is Severity.FATAL


def test_wells_of_other_plates_do_not_count(plate: Plate) -> None:
    config = ScreenConfig.model_validate({"screen": "s", "plates": [plate.entry], **plate.fields})
    wells = read_plate_wells(config, ["P1", "P2"])
    delivery = read_delivery(config.plates[0], config)

    both = accept(delivery, wells, config=config)
    own = accept(delivery, wells.filter(pl.col("plate") == "P1"), config=config)

    assert both == own
    assert accept(delivery, PlateWells.create_empty(), config=config).verdict is Verdict.ACCEPT_WITH_HOLES


def test_an_unknown_way_to_decode_is_refused(plate: Plate) -> None:
    with pytest.raises(UsageError, match="headers or all"):
        plate.check(decode="deep")
