"""The wheel as a user has it: installed into an environment of its own, and started from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import digests_of, with_settings
from processes import MARK, marked
from wheels import build_wheel

import hcs
from hcs.embedding.weights import packaged_encoders
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design

pytestmark = pytest.mark.slow

FOLDERS = {
    "an empty folder": (),
    "a folder with names of ours": ("schemas.py", "services/__init__.py", "dashboards.py", "hcs/__init__.py"),
}
"""Where hcs is started -> what the user keeps there. One folder holds all the names: none of them may be imported."""

STRANGER = "open(__file__ + '.imported', 'w').close(); raise RuntimeError('hcs imported a file of its user')\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it printed, and what it left behind."""

    code: int
    out: str
    err: str
    processes: dict[int, str]
    temporary_files: list[str]


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel."""

    environment: Path

    def start(self, program: str, *arguments: object, cwd: Path) -> Ended:
        """Run a program of the environment as somebody who knows nothing of this checkout, and wait for its end.

        The folder is home too, so that all that is written there is seen. The temporary folder has a short name, as a
        socket in it must.
        """
        with tempfile.TemporaryDirectory(prefix="t") as temporary:
            ended = subprocess.run(
                [self.environment / "bin" / program, *map(str, arguments)],
                cwd=cwd,
                env={"PATH": os.defpath, "HOME": str(cwd), "TMPDIR": temporary, MARK: temporary},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            files = sorted(path.name for path in Path(temporary).iterdir())
            return Ended(ended.returncode, ended.stdout, ended.stderr, marked(temporary), files)


def install(wheel: Path, environment: Path) -> None:
    """Install a wheel into a new environment that finds everything else where this one does.

    A plain line of a `.pth` file adds a folder to the path and processes no `.pth` file in there: the editable install
    of this checkout is not seen. It is written last, so that pip does not see what it would take for another hcs.
    """
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True, capture_output=True)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    elsewhere = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in sorted(elsewhere)))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own, or in that which `make wheel-test` has made."""
    if ready := os.environ.get("HCS_TEST_ENVIRONMENT"):
        return Installed(Path(ready).absolute())
    folder = tmp_path_factory.mktemp("wheel")
    install(build_wheel(folder), folder / "environment")
    return Installed(folder / "environment")


@pytest.fixture(scope="module")
def screen_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivered screen of 1 plate x 24 wells."""
    folder = tmp_path_factory.mktemp("delivered") / "screen"
    simulate_screen(str(folder), design=small_design(plates=1, wells=24), seed=11, workers=1)
    return with_settings(folder / "SCREEN.yaml", encoders=["named"])


@pytest.fixture(params=FOLDERS.values(), ids=list(FOLDERS))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder in which a user starts hcs."""
    return keep_there(request.param, tmp_path)


@pytest.fixture
def names_of_ours(tmp_path: Path) -> Path:
    """The worse of them, for what takes long: who imports or leaves something in an empty one does it here too."""
    return keep_there(FOLDERS["a folder with names of ours"], tmp_path)


def keep_there(names: tuple[str, ...], folder: Path) -> Path:
    """Put files with these names, which nobody may import, into a folder, and return it."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(STRANGER, encoding="utf-8")
    return folder


def exported(installed: Installed, screen_file: Path, *, executor: str, cwd: Path) -> dict[str, str]:
    """Run the screen from a folder, assert that nothing is left behind, and return the digests of the export."""
    screen, catalog = os.path.relpath(screen_file, cwd), f"{executor}/catalog.sqlite"
    options = ("--catalog", catalog, "--executor", executor, "--threads", 1)
    before = set(cwd.iterdir())

    ended = installed.start("hcs", "run", screen, *options, cwd=cwd)

    assert ended.code == 0, ended.err
    assert "run-1 finished: complete" in ended.out
    assert ended.processes == {}
    assert ended.temporary_files == []
    assert set(cwd.iterdir()) - before == {cwd / executor}
    assert not list(cwd.rglob("*.imported"))
    ended = installed.start("hcs", "export", "parquet", "latest", f"{executor}/export", "--catalog", catalog, cwd=cwd)
    assert ended.code == 0, ended.err
    return digests_of(cwd / executor / "export")


def test_nothing_of_hcs_comes_from_elsewhere_than_the_wheel(installed: Installed, tmp_path: Path) -> None:
    line = "import hcs, schemas; print(hcs.__file__, schemas.__file__, sep='\\n')"

    ended = installed.start("python", "-P", "-c", line, cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 2
    assert all(Path(path).is_relative_to(installed.environment) for path in ended.out.splitlines())


def test_hcs_says_its_version_in_any_folder(installed: Installed, folder: Path) -> None:
    ended = installed.start("hcs", "--version", cwd=folder)

    assert (ended.code, ended.out) == (0, f"hcs {hcs.__version__}\n"), ended.err


def test_the_dispatcher_is_the_one_of_the_wheel_in_any_folder(installed: Installed, folder: Path) -> None:
    ended = installed.start("hcs", "work", "--once", "--catalog", "store/catalog.sqlite", cwd=folder)

    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("no run waits in ")
    assert len(ended.err.splitlines()) == 1
    assert not list(folder.rglob("*.imported"))


def test_the_doctor_finds_the_machine_in_order_in_any_folder(installed: Installed, names_of_ours: Path) -> None:
    ended = installed.start("hcs", "doctor", "--format", "json", cwd=names_of_ours)

    assert ended.code == 0, ended.out + ended.err
    assert {row["state"] for row in json.loads(ended.out)["checks"]} <= {"ok", "missing"}


def test_packaged_encoders_are_in_the_wheel_and_in_order(installed: Installed, tmp_path: Path) -> None:
    ended = installed.start("hcs", "encoders", "verify", "--format", "json", cwd=tmp_path)

    assert ended.code == 0, ended.out + ended.err
    assert [row["name"] for row in json.loads(ended.out)] == list(packaged_encoders())


def test_weights_their_cards_and_their_record_are_in_the_wheel(tmp_path: Path) -> None:
    folder = "hcs/embedding/weights"
    beside = {f"{folder}/newcomer{ending}": ending for ending in (".safetensors", ".md")}
    beside[f"{folder}/SHA256SUMS"] = "a record"

    with zipfile.ZipFile(build_wheel(tmp_path, beside=beside)) as wheel:
        assert {name: wheel.read(name).decode() for name in beside} == beside


def test_both_executors_run_in_any_folder_give_the_same_bytes_and_leave_nothing_behind(
    installed: Installed, screen_file: Path, names_of_ours: Path
) -> None:
    local = exported(installed, screen_file, executor="local", cwd=names_of_ours)
    ray = exported(installed, screen_file, executor="ray", cwd=names_of_ours)

    assert len(local) >= 10
    assert ray == local
