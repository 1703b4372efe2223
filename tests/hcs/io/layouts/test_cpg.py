from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from hcs.errors import DeliveryError
from hcs.io.layouts import Delivery, read_delivery
from schemas.acceptance import FindingKind
from schemas.screen import ScreenConfig

CHANNELS = ("DNA", "ER")


def deliver(folder: Path | str, *, channels: dict[str, str] | None = None, **entry: str) -> Delivery:
    config = ScreenConfig.model_validate(
        {"screen": "s", "plates": [{"uri": str(folder), **entry}], "channels": channels}
    )
    return read_delivery(config.plates[0], config)


def rows(
    plate: str = "BR1",
    *,
    wells: tuple[str, ...] = ("A01", "B02"),
    sites: tuple[int, ...] = (1, 2),
    folder: str = "/there/BR1__2021-Measurement1/Images",
) -> list[dict[str, str]]:
    return [
        {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": str(site)}
        | {f"FileName_Orig{channel}": f"{well}-{site}-{channel}.tiff" for channel in CHANNELS}
        | {f"PathName_Orig{channel}": folder for channel in CHANNELS}
        for well in wells
        for site in sites
    ]


def write(path: Path, table: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pl.DataFrame(table).write_csv().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def touch(folder: Path, table: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for row in table:
        for channel in CHANNELS:
            (folder / row[f"FileName_Orig{channel}"]).write_bytes(b"II*\0")


def test_every_listed_image_is_found_under_the_delivery(tmp_path: Path) -> None:
    root = tmp_path / "BR1"
    touch(root / "Images", rows())
    write(root / "load_data.csv", rows())

    delivery = deliver(root)

    assert (delivery.plate, delivery.layout) == ("BR1", "cpg")
    assert delivery.images.height == 8
    assert delivery.images["size_bytes"].null_count() == 0
    assert delivery.images["relative_path"][0] == "Images/A01-1-DNA.tiff"
    assert delivery.unrecognised == ()
    assert delivery.findings == ()


def test_what_is_listed_and_not_there_is_a_row_without_size(tmp_path: Path) -> None:
    root = tmp_path / "BR1"
    touch(root / "Images", rows())
    (root / "Images" / "B02-2-ER.tiff").unlink()
    write(root / "load_data.csv", rows())

    missing = deliver(root).images.filter(pl.col("size_bytes").is_null())

    assert missing.select("well", "site", "channel", "relative_path").rows() == [
        ("B02", 2, "ER", "Images/B02-2-ER.tiff")
    ]


def test_a_delivery_without_a_single_image_is_all_missing_rows(tmp_path: Path) -> None:
    write(tmp_path / "BR1" / "load_data.csv", rows())

    images = deliver(tmp_path / "BR1").images

    assert images.height == 8
    assert images["size_bytes"].null_count() == 8
    assert not images["relative_path"].str.starts_with("/").any()


@pytest.mark.parametrize(
    "place",
    [
        "BR1__2021-Measurement1/load_data.csv",
        "BR1__2021-Measurement1/tables/load_data.csv.gz",
        "load_data.csv",
        "load_data_csv/2021_batch/BR1/load_data.csv",
    ],
)
def test_the_table_lies_inside_the_delivery_or_beside_it(tmp_path: Path, place: str) -> None:
    root = tmp_path / "BR1__2021-Measurement1"
    touch(root / "Images", rows())
    write(tmp_path / place, rows())

    delivery = deliver(root)

    assert delivery.plate == "BR1"
    assert delivery.images["size_bytes"].null_count() == 0


def test_the_gallerys_tree_is_understood(tmp_path: Path) -> None:
    source = tmp_path / "cpg0000" / "source_4"
    root = source / "images" / "2021_batch" / "images" / "BR1__2021-Measurement1"
    touch(root / "Images", rows())
    touch(root.with_name("BR2__x") / "Images", rows())
    for plate in ("BR1", "BR2"):
        write(source / "workspace" / "load_data_csv" / "2021_batch" / plate / "load_data.csv", rows(plate))

    assert deliver(root, barcode="BR1").images["size_bytes"].null_count() == 0


def test_illumination_functions_are_no_images_and_the_plain_table_is_enough(tmp_path: Path) -> None:
    root = tmp_path / "BR1"
    touch(root / "Images", rows())
    with_illum = [
        row
        | {f"FileName_Illum{channel}": f"BR1_Illum{channel}.npy" for channel in CHANNELS}
        | {f"PathName_Illum{channel}": "/there/illum" for channel in CHANNELS}
        for row in rows()
    ]
    write(root / "load_data_with_illum.csv", with_illum)

    only_with_illum = deliver(root)
    write(root / "load_data.csv", rows())
    both = deliver(root)

    assert pl.DataFrame(only_with_illum.images).equals(pl.DataFrame(both.images))
    assert only_with_illum.images["channel"].unique().sort().to_list() == ["DNA", "ER"]
    assert both.unrecognised == ("load_data_with_illum.csv",)


def test_several_tables_are_read_together(tmp_path: Path) -> None:
    root = tmp_path / "BR1"
    touch(root / "Images", rows())
    for well in ("A01", "B02"):
        write(root / well / "load_data.csv", rows(wells=(well,)))

    assert deliver(root).images["well"].unique().sort().to_list() == ["A01", "B02"]


class TestPlates:
    """Which of a table's plates a delivery is."""

    def test_a_table_of_many_plates_is_filtered_on_the_barcode(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        for plate in ("BR1", "BR2"):
            touch(root / plate / "Images", rows())
        write(root / "load_data.csv", [*rows("BR1", folder="/x/BR1/Images"), *rows("BR2", folder="/x/BR2/Images")])

        delivery = deliver(root, barcode="BR2")

        assert delivery.plate == "BR2"
        assert delivery.images["relative_path"].str.starts_with("BR2/Images/").all()
        assert delivery.unrecognised == ()

    def test_many_plates_and_none_named_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "root" / "load_data.csv", [*rows("BR1"), *rows("BR2")])

        with pytest.raises(DeliveryError, match=r"2 plates \(BR1, BR2\)"):
            deliver(tmp_path / "root")
        with pytest.raises(DeliveryError, match="expected the plate BR3"):
            deliver(tmp_path / "root", barcode="BR3")

    def test_a_barcode_beats_the_only_plate_of_the_table(self, tmp_path: Path) -> None:
        write(tmp_path / "root" / "load_data.csv", rows("BR1"))

        assert deliver(tmp_path / "root", barcode="X").plate == "X"
        assert deliver(tmp_path / "root").plate == "BR1"

    def test_a_barcode_finds_its_full_plate_name(self, tmp_path: Path) -> None:
        write(tmp_path / "root" / "load_data.csv", [*rows("BR1__2021-M1"), *rows("BR2__2021-M1")])

        delivery = deliver(tmp_path / "root", barcode="BR1")

        assert delivery.plate == "BR1"
        assert delivery.images.height == 8

    def test_images_of_a_plate_that_did_not_come_are_missing_and_not_its_neighbours(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        touch(root / "BR2" / "Images", rows())
        write(root / "load_data.csv", [*rows("BR1", folder="/x/BR1/Images"), *rows("BR2", folder="/x/BR2/Images")])

        assert deliver(root, barcode="BR1").images["size_bytes"].null_count() == 8
        assert deliver(root, barcode="BR2").images["size_bytes"].null_count() == 0

    def test_without_a_plate_column_the_folder_names_the_plate(self, tmp_path: Path) -> None:
        table = [{key: value for key, value in row.items() if key != "Metadata_Plate"} for row in rows()]
        write(tmp_path / "BR7__2021" / "load_data.csv", table)

        assert deliver(tmp_path / "BR7__2021").plate == "BR7"


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {"Metadata_Row": "2", "Metadata_Col": "11"},
        lambda row: {"Metadata_Row": "B", "Metadata_Col": "011"},
        lambda row: {"Metadata_Well": "b11"},
        lambda row: {"Metadata_CPD_WELL_POSITION": "B11"},
        lambda row: {"Metadata_Well": "B11", "Metadata_Row": "2", "Metadata_Col": "1"},
    ],
)
def test_wells_are_read_in_every_spelling(tmp_path: Path, change: object) -> None:
    table = [
        {key: value for key, value in row.items() if key != "Metadata_Well"} | change(row)  # type: ignore[operator]  # a parameter
        for row in rows(wells=("A01",))
    ]
    write(tmp_path / "BR1" / "load_data.csv", table)

    assert deliver(tmp_path / "BR1").images["well"].unique().to_list() == ["B11"]


def test_urls_are_found_under_the_delivery_too(tmp_path: Path) -> None:
    root = tmp_path / "BR1"
    touch(root / "Images", rows())
    table = [
        {key: value for key, value in row.items() if "Name" not in key}
        | {f"URL_Orig{channel}": f"s3://bucket/{row[f'FileName_Orig{channel}']}" for channel in CHANNELS}
        for row in rows()
    ]
    write(root / "load_data.csv", table)

    delivery = deliver(root)

    assert delivery.images["size_bytes"].null_count() == 0
    assert [finding.kind for finding in delivery.findings] == [FindingKind.IMAGES_RELOCATED]


def test_z_planes_and_numbers_written_as_floats_are_read(tmp_path: Path) -> None:
    table = [row | {"Metadata_PlaneID": "2", "Metadata_Site": f"{row['Metadata_Site']}.0"} for row in rows()]
    write(tmp_path / "BR1" / "load_data.csv", table)

    assert deliver(tmp_path / "BR1").images.select("site", "z").unique().sort("site").rows() == [(1, 2), (2, 2)]


def test_rows_that_cannot_be_used_are_listed_by_line(tmp_path: Path) -> None:
    table = rows()
    table[1]["Metadata_Well"] = "Q99"
    table[2]["Metadata_Site"] = "IXMtest"
    write(tmp_path / "BR1" / "load_data.csv", table)

    with pytest.raises(DeliveryError, match=r"2 rows cannot be used: line 3: .*'?Q.*; line 4: .*'IXMtest'"):
        deliver(tmp_path / "BR1")


def test_a_table_of_something_else_names_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path / "BR1" / "load_data.csv", [{"Metadata_Plate": "BR1", "x": "1"}])

    with pytest.raises(DeliveryError, match="FileName_Orig<Channel>"):
        deliver(tmp_path / "BR1")


def test_the_layout_needs_a_table(tmp_path: Path) -> None:
    touch(tmp_path / "BR1", rows())

    with pytest.raises(DeliveryError, match=r"expected a load_data.csv inside the delivery or beside it"):
        deliver(tmp_path / "BR1", layout="cpg")


def test_a_channel_map_renames_and_leaves_out(tmp_path: Path) -> None:
    write(tmp_path / "BR1" / "load_data.csv", rows())

    delivery = deliver(tmp_path / "BR1", channels={"DNA": "Nucleus"})

    assert delivery.images["channel"].unique().to_list() == ["Nucleus"]
    assert [finding.place for finding in delivery.findings] == ["channel ER"]


def test_a_channel_map_of_another_spelling_keeps_the_stains_of_the_table(tmp_path: Path) -> None:
    write(tmp_path / "BR1" / "load_data.csv", rows())

    delivery = deliver(tmp_path / "BR1", channels={"ch5": "DNA", "ch4": "ER"})

    assert delivery.images["channel"].unique().sort().to_list() == ["DNA", "ER"]


def test_one_row_given_twice_is_no_duplicate_and_two_files_are(tmp_path: Path) -> None:
    root = tmp_path / "BR1"
    table = rows()
    touch(root / "Images", table)
    (root / "Images" / "zz.tiff").write_bytes(b"II*\0")
    write(root / "load_data.csv", [table[0] | {"FileName_OrigDNA": "zz.tiff"}, *table, table[0]])

    delivery = deliver(root)

    assert delivery.images.height == 8
    assert delivery.duplicates["relative_path"].to_list() == ["Images/zz.tiff"]


def test_a_path_that_climbs_out_of_the_delivery_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "secret.tiff").write_bytes(b"II*\0")
    table = rows(wells=("A01",), sites=(1,), folder="../..")
    table[0]["FileName_OrigDNA"] = "../secret.tiff"
    write(tmp_path / "BR1" / "load_data.csv", table)

    images = deliver(tmp_path / "BR1").images

    assert images["size_bytes"].null_count() == 2
    assert not images["relative_path"].str.contains("..", literal=True).any()


def test_a_delivery_behind_fsspec_is_read_like_one_on_disk(tmp_path: Path) -> None:
    from hcs.io.storage import write_atomically

    root = f"memory://{tmp_path.name}/BR1"
    for row in rows():
        for channel in CHANNELS:
            write_atomically(f"{root}/Images/{row[f'FileName_Orig{channel}']}", b"II*\0")
    write_atomically(f"{root}/load_data.csv", pl.DataFrame(rows()).write_csv().encode())

    delivery = deliver(root)

    assert delivery.images["size_bytes"].null_count() == 0
    assert delivery.uri == root
