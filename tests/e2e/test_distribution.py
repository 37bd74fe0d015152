"""What the wheel and the source archive hold."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from tests.distribution import build

ROOT = Path(__file__).parents[2]


def files_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_three_packages_with_their_types_and_nothing_else(tmp_path: Path) -> None:
    files = files_in(build("wheel", tmp_path))
    packages = {"wsprism", "actors", "qos"}
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} == packages
    assert {f"{package}/py.typed" for package in packages} <= files
    sources = {str(path.relative_to(ROOT)) for package in packages for path in (ROOT / package).rglob("*.py")}
    assert {name for name in files if name.endswith(".py")} == sources
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "wsprism/transport/ui/static").rglob("*") if path.is_file()}
    assert len(page) > 20
    assert page <= files


def test_the_source_archive_builds_the_same_wheel(tmp_path: Path) -> None:
    (tmp_path / "sdist").mkdir()
    archive = build("sdist", tmp_path / "sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    [source] = (tmp_path / "unpacked").iterdir()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "config", "docs"} <= {path.name for path in source.iterdir()}
    wheels = []
    for name, tree in (("again", source), ("straight", ROOT)):
        (tmp_path / name).mkdir()
        wheels.append(build("wheel", tmp_path / name, tree))
    assert files_in(wheels[0]) == files_in(wheels[1])
