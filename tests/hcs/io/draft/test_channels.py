from __future__ import annotations

from pathlib import Path

import pytest

from hcs.io.draft.channels import draft_channels, instrument_names, stain_of
from hcs.io.layouts.folder import list_delivery

HTD = '"HTSInfoFile", Version 1.0\n"NWavelengths", 2\n"WaveName1", "DAPI"\n"WaveName2", "FITC"\n'
HARMONY = """<Images>
<Image><ChannelID>1</ChannelID><ChannelName>HOECHST 33342</ChannelName></Image>
<Image><ChannelID>2</ChannelID><ChannelName>Alexa 568</ChannelName></Image>
<Image><ChannelID>1</ChannelID><ChannelName>HOECHST 33342</ChannelName></Image></Images>"""
CELLVOYAGER = '<bts:ChannelList><bts:Channel bts:Ch="1" bts:Target="405" /><bts:Channel bts:Ch="2" bts:Target="561" />'


@pytest.mark.parametrize(
    ("name", "stain"),
    [
        ("HOECHST 33342", "DNA"),
        ("DAPI_Nuclei", "DNA"),
        ("MitoTracker Deep Red", "Mito"),
        ("ER", "ER"),
        ("Phalloidin/WGA", "AGP"),
        ("SYTO 14", "RNA"),
        ("Brightfield high", "Brightfield"),
        ("FITC", None),
        ("Alexa 488", None),
        ("1", None),
        ("filter", None),  # holds `er` inside a word
    ],
)
def test_a_name_means_a_stain_only_where_it_can_mean_no_other(name: str, stain: str | None) -> None:
    assert stain_of(name) == stain


def test_a_number_is_asked_for_and_a_name_stays() -> None:
    number, fluorophore, stain = draft_channels(["1", "GFP", "w Hoechst"], {})

    assert (number.stain, fluorophore.stain, stain.stain) == (None, "GFP", "DNA")


def test_what_the_instrument_says_of_a_number_is_taken_and_explained() -> None:
    dna, other, laser = draft_channels(["01", "02", "03"], {"1": "DAPI", "2": "Alexa 568", "3": "488"})

    assert (dna.stain, other.stain, laser.stain) == ("DNA", "Alexa 568", None)
    assert "in Cell Painting usually AGP" in other.remark
    assert "usually ER" in laser.remark


def test_two_channels_of_one_stain_are_asked_for() -> None:
    drafted = draft_channels(["1", "2", "3"], {"1": "Hoechst", "2": "DAPI", "3": "FITC"})

    assert [channel.stain for channel in drafted] == [None, None, "FITC"]
    assert "may be DNA" in drafted[0].remark


@pytest.mark.parametrize(
    ("file", "content", "names"),
    [
        ("TimePoint_1/9987.HTD", HTD, {"1": "DAPI", "2": "FITC"}),
        ("Images/Index.idx.xml", HARMONY, {"1": "HOECHST 33342", "2": "Alexa 568"}),
        ("setting.mes", CELLVOYAGER, {"1": "405", "2": "561"}),
        ("Index.xml", "", {}),
        ("notes.txt", HTD, {}),
    ],
)
def test_files_of_instruments_name_their_channels(
    tmp_path: Path, file: str, content: str, names: dict[str, str]
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)

    assert instrument_names(list_delivery(str(tmp_path))) == names


def test_an_index_that_cannot_be_decoded_names_what_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.HTD").write_bytes(b"\xb5\xff" + HTD.encode())

    assert instrument_names(list_delivery(str(tmp_path)))["1"] == "DAPI"
