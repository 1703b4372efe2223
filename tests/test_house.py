"""The house itself: what is packaged, declared, imported and written down."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from wheels import REPOSITORY, build_wheel, tracked_files

import hcs
from schemas.acceptance import FindingKind

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = tuple(name for name in ("hcs", "schemas", "services", "dashboards") if (REPOSITORY / name).is_dir())
"""What the wheel holds, as far as it exists."""

IMPORT_NAMES = {
    "cel-python": {"celpy"},
    "pillow": {"PIL"},
    "pyyaml": {"yaml"},
    "scikit-image": {"skimage"},
    "scikit-learn": {"sklearn"},
    "umap-learn": {"umap"},
}
"""Distribution -> what one imports, where that is not the same word."""

UNIMPORTED = {
    "torchvision": "timm imports it, and its release must fit torch's",
}
"""Dependencies that no module of ours has to name, each with the reason."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            yield path.relative_to(REPOSITORY), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> set[str]:
    """Dotted names of everything that a module imports from elsewhere."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def assigned(tree: ast.Module) -> set[str]:
    """Names that a module assigns at its top."""
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def third_party(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(PACKAGES)


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", requirement)[0].lower() for requirement in requirements}


def import_names(distributions: set[str]) -> set[str]:
    return set().union(*(IMPORT_NAMES.get(name, {name.replace("-", "_")}) for name in distributions))


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the wheel that is built of this repository."""
    return files_of(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel_files: dict[str, bytes]) -> None:
    packaged = {
        str(path.relative_to(REPOSITORY))
        for path in tracked_files()
        if path.relative_to(REPOSITORY).parts[0] in PACKAGES
    }

    found = {name for name in wheel_files if ".dist-info/" not in name}

    assert found == packaged


def test_the_wheel_carries_types_licence_and_the_command(wheel_files: dict[str, bytes]) -> None:
    info = f"hcs-{hcs.__version__}.dist-info"

    assert {"hcs/py.typed", "schemas/py.typed", f"{info}/licenses/LICENSE"} <= set(wheel_files)
    assert b"hcs = hcs.cli.main:main" in wheel_files[f"{info}/entry_points.txt"]


def test_the_wheel_carries_what_the_packages_read_beside_their_code(wheel_files: dict[str, bytes]) -> None:
    assert "hcs/embedding/encoders.json" in wheel_files
    assert any(re.fullmatch(r"hcs/catalog/migrations/versions/\w+\.py", name) for name in wheel_files)


def test_services_and_dashboards_are_in_the_wheel_from_their_first_file_on(tmp_path: Path) -> None:
    product = {"services/newcomer.py", "dashboards/assets/newcomer.css"}

    names = files_of(build_wheel(tmp_path, beside=dict.fromkeys(product | {"elsewhere/newcomer.py"}, "")))

    assert {name for name in names if "newcomer" in name} == product


def test_what_is_packaged_is_typed_and_stands_under_the_import_contracts() -> None:
    python = {name for name in PACKAGES if (REPOSITORY / name / "__init__.py").is_file()}

    assert set(PROJECT["tool"]["mypy"]["packages"]) == python
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == python


def test_there_is_one_version(wheel_files: dict[str, bytes]) -> None:
    metadata = wheel_files[f"hcs-{hcs.__version__}.dist-info/METADATA"].decode()
    places = [str(path) for path, tree in modules() if "__version__" in assigned(tree)]

    assert f"\nVersion: {hcs.__version__}\n" in metadata
    assert places == ["hcs/__init__.py"]


def test_every_third_party_import_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    distributions = declared(
        [
            *PROJECT["project"]["dependencies"],
            *extras["s3"],
            *extras["h5ad"],
            *extras["k8s"],
            *extras["k8s-check"],
        ]
    )

    undeclared = {
        (str(path), name)
        for path, tree in modules()
        for name in third_party(imports(tree)) - import_names(distributions)
    }

    assert undeclared == set()


def test_every_dependency_is_imported() -> None:
    imported = set().union(*(third_party(imports(tree)) for _, tree in modules()))
    distributions = declared(PROJECT["project"]["dependencies"]) - set(UNIMPORTED)

    assert {name for name in distributions if not import_names({name}) & imported} == set()
    assert import_names(set(UNIMPORTED)) & imported == set(), "imported after all: not an exception"


def test_every_dependency_has_a_floor_and_a_reason() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("\ndependencies = [\n")[1].split("\n]\n")[0].splitlines()

    for reason, requirement in zip(block[::2], block[1::2], strict=True):
        assert reason.strip().startswith("# "), requirement
        assert ">=" in requirement, requirement


def test_every_dependency_stands_in_the_constraints_inside_its_bounds() -> None:
    from packaging.requirements import Requirement

    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.lower().replace("_", "-").split("==") for line in lines if not line.startswith("#"))
    extras = PROJECT["project"]["optional-dependencies"]

    for text in [
        *PROJECT["project"]["dependencies"],
        *extras["dev"],
        *extras["docs"],
        *extras["s3"],
        *extras["h5ad"],
        *extras["postgres"],
        *extras["k8s"],
        *extras["k8s-check"],
        *extras["cluster"],
    ]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(tested[requirement.name.lower().replace("_", "-")]), text
    assert not [line for line in lines if "+" in line or "@" in line or "/" in line.split("#")[0]]


def test_what_the_contracts_cannot_see_has_its_home_too() -> None:
    # import-linter sees whole distributions that somebody imports: no part of scipy, and nothing nobody imports yet.
    homes = {"scipy.ndimage": {"imaging", "simulation"}, "torchvision": {"embedding"}, "psycopg": {"catalog"}}

    strangers = [
        (str(path), name)
        for path, tree in modules()
        for name in imports(tree)
        for library, allowed in homes.items()
        if f"{name}.".startswith(f"{library}.") and path.parts[1] not in allowed
    ]

    assert strangers == []


def test_every_package_says_what_it_is_for() -> None:
    for package in (REPOSITORY / "hcs").iterdir():
        if package.is_dir() and list(package.glob("*.py")):
            assert ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))), package


VIOLATIONS = {
    "an unknown package": ("hcs/newcomer/__init__.py", "", "floors"),
    "an import upwards": ("hcs/statistics/robust.py", "import hcs.pipeline", "floors"),
    "a pipeline that knows of the cluster": ("hcs/pipeline/plan.py", "import hcs.distributed", "floors"),
    "an import across a floor": ("hcs/hits/__init__.py", "import hcs.mechanisms", "floors"),
    "a vocabulary that computes": ("schemas/screen.py", "import hcs.errors", "trees"),
    "UMAP outside its home": ("hcs/pipeline/plan.py", "import umap", "umap"),
    "torch outside its home": ("hcs/profiling/__init__.py", "import torch", "torch"),
    "timm outside its home": ("hcs/pipeline/plan.py", "import timm", "torch"),
    "Ray outside its home": ("hcs/pipeline/plan.py", "import ray", "ray"),
    "SQL outside its home": ("hcs/pipeline/plan.py", "import sqlalchemy", "sql"),
    "migrations outside their home": ("hcs/cli/main.py", "import alembic", "sql"),
    "image operators outside their home": ("hcs/simulation/render.py", "import skimage", "pixels"),
    "files outside their home": ("hcs/imaging/__init__.py", "import tifffile", "files"),
    "pictures outside their home": ("hcs/imaging/composite.py", "import PIL", "files"),
    "a web framework outside its home": ("hcs/pipeline/plan.py", "import fastapi", "web"),
    "a server outside its home": ("services/dispatcher/__init__.py", "import uvicorn", "web"),
    "a client that opens the catalog": ("hcs/client/access.py", "import hcs.catalog", "client"),
    "requests outside their home": ("hcs/cli/main.py", "import httpx", "http"),
    "the API of Kubernetes outside its home": ("services/dispatcher/__init__.py", "import kubernetes", "kubernetes"),
    "checks of manifests that know the command line": ("hcs/k8s/checking/judging.py", "import hcs.cli", "floors"),
    "object stores outside their home": ("hcs/catalog/__init__.py", "import fsspec", "files"),
}


CONTRACTS = {contract["id"]: contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the packages that lie in a folder."""
    command = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-P", "-c", command, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "300"},
    )


def copy_packages(folder: Path) -> Path:
    """Copy the packages and their contracts, to be checked or broken."""
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(REPOSITORY / "pyproject.toml", folder / "pyproject.toml")
    return folder


def test_the_import_contracts_are_kept(tmp_path: Path) -> None:
    result = lint_imports(copy_packages(tmp_path))

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def noticed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each contract that is broken, by its name, where all violations are made at once."""
    copied = copy_packages(tmp_path_factory.mktemp("broken"))
    for place, line, _ in VIOLATIONS.values():
        module = copied / place
        module.parent.mkdir(exist_ok=True)
        before = module.read_text(encoding="utf-8") if module.exists() else ""
        module.write_text(f"{before}\n{line}\n", encoding="utf-8")
    result = lint_imports(copied)
    assert result.returncode == 1, result.stdout + result.stderr
    _, _, broken = result.stdout.partition("\nBroken contracts\n")
    sections = re.split(rf"^({'|'.join(map(re.escape, CONTRACTS.values()))})\n-+$", broken, flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


@pytest.mark.parametrize(("place", "line", "contract"), VIOLATIONS.values(), ids=list(VIOLATIONS))
def test_a_broken_import_contract_is_noticed(noticed: dict[str, str], place: str, line: str, contract: str) -> None:
    module = place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    said = f"- {module} -> {line.removeprefix('import ')} (l." if line else f"- {module}\n"

    assert said in re.sub(" +", " ", noticed[CONTRACTS[contract]])


FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.:-])/(?:work|home|opt|root|tmp|Users)/[a-z]",  # a path of one machine
            r"\b[T]ODO\b|\b[F]IXME\b|\bX[X]X\b",
            r"raise NotImplemented[E]rror",
        ]
    )
)


IN_IMAGES = ("Containerfile", "k8s/")
"""Their paths are those of the images, which are the same everywhere."""


def test_the_repository_speaks_of_no_machine_and_of_nothing_unfinished() -> None:
    found = []
    for path in tracked_files():
        name = str(path.relative_to(REPOSITORY))
        if path == Path(__file__) or name.startswith(IN_IMAGES):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match.group()}" for match in FORBIDDEN.finditer(text)]

    assert found == []


def test_no_file_of_the_repository_is_large() -> None:
    weights = REPOSITORY / "hcs/embedding/weights"
    largest = {path: 15_000_000 if path.parent == weights else 2_000_000 for path in tracked_files()}
    assert [path for path, size in largest.items() if path.stat().st_size > size] == []


def decision_records() -> list[Path]:
    return sorted((REPOSITORY / "docs/explanations/decisions").glob("[0-9]*.md"))


def test_every_decision_record_has_its_three_sections_and_stands_in_the_index() -> None:
    index = (REPOSITORY / "docs/explanations/decisions/index.md").read_text(encoding="utf-8")

    for number, path in enumerate(decision_records(), start=1):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {number:04} "), path.name
        assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name
        assert f"]({path.name})" in index, path.name


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "STYLE.md", ".ci/run"])
def test_every_make_command_that_is_written_down_is_a_target(document: str) -> None:
    text = (REPOSITORY / document).read_text(encoding="utf-8")

    commands = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)(?= *(?:[`\n#]|[A-Z_]+=))", text))

    assert commands <= targets()


def test_slow_tests_are_marked_in_files_where_make_looks_for_them() -> None:
    marked = [
        path.relative_to(REPOSITORY)
        for path in (REPOSITORY / "tests").rglob("*.py")
        if re.search(r"mark\.(slow|long)", path.read_text(encoding="utf-8"))
    ]

    assert len(marked) > 10
    assert [path for path in marked if not path.name.startswith("test_")] == []


def test_the_readme_names_what_ci_runs() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    ci = (REPOSITORY / ".ci/run").read_text(encoding="utf-8")

    for command in ("make check", "make demo", "make test"):
        assert command in readme
        assert command in ci or command.replace("make ", "tests ") in ci


AT_ONCE = 2
"""Tests that `make test` and `make test-slow` run at once."""


def budgets() -> dict[str, int]:
    """Seconds that CONTRIBUTING allows: of each suite of CI, of all of them, and of each folder of tests."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `?([\w/*. -]+?)`? \| [\d,]+ s \| ([\d,]+) s \|$", text, flags=re.MULTILINE)
    return {name: int(seconds.replace(",", "")) for name, seconds in rows}


def test_every_suite_of_ci_has_a_budget_and_all_fit_into_45_minutes() -> None:
    suites = re.findall(
        r"^suite ([a-z0-9-]+) ", (REPOSITORY / ".ci/run").read_text(encoding="utf-8"), flags=re.MULTILINE
    )

    allowed = budgets()

    assert sum(allowed[suite] for suite in suites) == allowed["in all"] < 45 * 60


def test_every_folder_of_tests_has_a_budget_inside_that_of_its_suites() -> None:
    tests = REPOSITORY / "tests"
    folders = {path.parent.relative_to(tests).parts[:2] for path in tests.rglob("test_*.py")}
    allowed = budgets()

    seconds = [allowed["/".join(("tests", *folder)) if folder else "tests/*.py"] for folder in folders]

    assert sum(seconds) <= AT_ONCE * (allowed["test"] + allowed["test-slow"])


def test_the_readme_fits_one_screen() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_every_finding_of_the_acceptance_report_is_explained() -> None:
    page = (REPOSITORY / "docs/reference/acceptance.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) >= {kind.value for kind in FindingKind}
