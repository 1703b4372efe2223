"""The pages about the API, typed as somebody would who reads them, against a real server and a real dispatcher."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from commands import with_settings
from nbclient import NotebookClient
from pages import DOCS, Reader, is_shown, steps_of
from served import perform_screen
from serving import serving

from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design

NOTEBOOK = DOCS / "tutorials" / "ask-over-http.ipynb"
KINDS = ("image/svg+xml", "image/png")
"""What the notebook shows: a plot, and a well."""

ON_A_SERVED_RUN = ("how-to/serve.md", "how-to/use-the-client.md")
ON_AN_EMPTY_CATALOG = "how-to/give-access.md"
BY_THEMSELVES = ("how-to/submit-and-work.md", "tutorials/ask-over-http.md")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody in an empty folder."""
    reading = Reader(tmp_path)
    try:
        yield reading
    finally:
        reading.end()


def test_every_page_that_asks_the_api_is_typed() -> None:
    asks = re.compile(r"^\$ curl|^\$ hcs (?:submit|work|serve)\b|import Client\b", re.MULTILINE)
    names = (str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))

    assert {name for name in names if asks.search(page(name))} == {
        *ON_A_SERVED_RUN,
        ON_AN_EMPTY_CATALOG,
        *BY_THEMSELVES,
    }


@pytest.mark.parametrize("name", ON_A_SERVED_RUN)
def test_a_page_about_a_served_run_is_true(name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    finished = perform_screen(tmp_path_factory.mktemp("served"))
    (tmp_path / "hcs-data").symlink_to(finished.folder)
    (tmp_path / "SCREEN.json").write_text(json.dumps(finished.submission("documented")), encoding="utf-8")
    with serving(finished.catalog, "--root", finished.folder) as server:
        names = {"BR00117035": "P1", "/data/plates": str(finished.folder)}
        reading = Reader(tmp_path, names=names, port=server.host_and_port[1])

        try:
            n_steps = reading.read(page(name))
        finally:
            reading.end()

    assert n_steps >= 5
    pictures = list(tmp_path.glob("*.webp"))
    assert len(pictures) >= 2
    assert all(path.read_bytes().startswith(b"RIFF") for path in pictures)


def test_give_access_is_true(tmp_path: Path) -> None:
    with serving(tmp_path / "hcs-data" / "catalog.sqlite", "--root", tmp_path) as server:
        reading = Reader(tmp_path, port=server.host_and_port[1])

        assert reading.read(page(ON_AN_EMPTY_CATALOG)) == 7


@pytest.mark.slow
def test_submit_and_work_is_true(reader: Reader) -> None:
    simulate_screen(str(reader.folder / "screen"), design=small_design(plates=2, wells=24), seed=11, workers=1)
    for path in (reader.folder / "screen").iterdir():
        path.rename(reader.folder / path.name)
    with_settings(reader.folder / "SCREEN.yaml", encoders=["named"])

    assert reader.read(page("how-to/submit-and-work.md")) >= 4


class Kernel:
    """Runs the cells of the notebook one after another, where the page has the same code."""

    def __init__(self, client: NotebookClient) -> None:
        self.client = client
        self.cells = iter([(index, cell) for index, cell in enumerate(client.nb.cells) if cell.cell_type == "code"])
        self.shown: list[dict[str, Any]] = []

    def run(self, code: str) -> str:
        index, cell = next(self.cells)
        assert cell.source.strip() == code.strip(), "the page and the notebook say the same"
        self.client.execute_cell(cell, index)
        self.shown += [output.data for output in cell.outputs if "data" in output]
        return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


@pytest.mark.slow
def test_the_tutorial_is_true_and_so_is_its_notebook(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook submits and waits, where the page does; the run is made by it, and performed by `hcs work`."""
    for name, value in reader.environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(reader.folder)}})
    with client.setup_kernel():
        kernel = Kernel(client)
        reader.python = kernel.run

        reader.read(page("tutorials/ask-over-http.md"))

    assert next(kernel.cells, None) is None
    plot, picture = (next(shown[kind] for shown in kernel.shown if kind in shown) for kind in KINDS)
    assert plot.count("<title>SIM-") == 40
    assert plot.count("<title>") == 40
    assert picture


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells

    assert [cell.source for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.parametrize(
    ("shown", "came", "is_so"),
    [
        ("a\nb", "a\nb\n", True),
        ("│ a │  b │", "┏━━━┳━━━┓\n┃ a ┃ b ┃\n", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a ... d", "a b c d", True),
        ("a", "a\nb", False),
        ("a\n...", "b\na", False),
        ("1.5", "125", False),
        ("", "a", False),
    ],
)
def test_what_is_shown_is_what_comes_out(shown: str, came: str, is_so: bool) -> None:
    assert is_shown(shown, came) is is_so


def test_steps_are_found_in_their_order() -> None:
    text = (
        "```console\n$ a \\\n  b\nsaid\n$ c\n```\n\n```yaml\n$ no\n```\n"
        "```python\nd\n```\n\n```text\nprinted\n```\n\nWords.\n\n```text\nno\n```\n"
    )

    found = [(step.typed, step.shown) for step in steps_of(text)]

    assert found == [("a \\\n  b", "said\n"), ("c", ""), ("d\n", "printed\n")]


@pytest.mark.parametrize(
    "text", ["```console\n$ exit 3\n```", "```console\n$ echo a\nb\n```", "```python\nprint(1)\n```\n\n```text\n2\n```"]
)
def test_a_page_that_is_not_true_is_noticed(reader: Reader, text: str) -> None:
    with pytest.raises(AssertionError, match="line 1"):
        reader.read(text)
