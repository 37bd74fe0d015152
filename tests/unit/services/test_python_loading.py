"""A service comes from a file, a factory or an entry point of a package; its code is loaded once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.python_services import COUNTER, tenant_with, write
from wsprism.composition.service_code import ServiceCode
from wsprism.plugin import Service, reply
from wsprism.plugin.testing import Harness
from wsprism.services.python import LoadFault, Source, load
from wsprism.settings import TenantSettings

PACKAGE = """
from wsprism.plugin import Service, reply


def plain():
    return told("nothing")


def told(options):
    service = Service()

    @service.on("tell")
    def tell(context):
        return [reply(options)]

    return service


ready = plain()
number = 5
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that is installed, with entry points."""
    name = f"installed_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(PACKAGE)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = [f"{one} = {name}:{one}" for one in ("ready", "plain", "told", "number")]
    (info / "entry_points.txt").write_text("\n".join(["[wsprism.services]", *points]) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def tells(service: Service) -> Any:
    return Harness(service).message("tell")


@pytest.mark.parametrize(("name", "says"), [("plain", "nothing"), ("told", {"a": 1})])
def test_a_factory_is_told_the_options_if_it_takes_them(package: str, name: str, says: Any) -> None:
    loaded = load(Source(None, f"{package}:{name}", None, {"a": 1}))
    assert tells(loaded.service) == [reply(says)]


@pytest.mark.parametrize(("name", "says"), [("ready", "nothing"), ("plain", "nothing"), ("told", {"a": 1})])
@pytest.mark.usefixtures("package")
def test_an_entry_point_is_a_service_or_a_factory(name: str, says: Any) -> None:
    assert tells(load(Source(None, None, name, {"a": 1})).service) == [reply(says)]


@pytest.mark.usefixtures("package")
def test_an_entry_point_that_is_neither_is_said() -> None:
    with pytest.raises(LoadFault, match="number must be a function that returns a Service, found int"):
        load(Source(None, None, "number", {}))


def tenant(file: str, **options: Any) -> TenantSettings:
    return TenantSettings.model_validate({"id": "acme", **tenant_with(file, **options)})


def namespaces() -> set[str]:
    return {name for name in sys.modules if name.startswith("wsprism_service_")}


def test_what_a_check_has_loaded_is_what_runs_and_what_was_replaced_is_forgotten(tmp_path: Path) -> None:
    before = namespaces()
    code, settings = ServiceCode(), tenant(write(tmp_path, COUNTER))
    assert list(code.check(settings)) == []
    [first] = namespaces() - before
    python = code.python_services(settings)
    assert (namespaces() - before, len(python.engines)) == ({first}, 1)
    write(tmp_path, COUNTER + "\n# another\n")
    assert list(code.check(settings)) == []
    code.keep_only([settings])
    [second] = namespaces() - before
    assert second != first
    code.keep_only([])
    assert namespaces() == before


def test_two_names_of_one_file_are_two_services(tmp_path: Path) -> None:
    file = write(tmp_path, COUNTER)
    settings = tenant(file)
    services = settings.services.model_copy(
        update={"ext": {**settings.services.ext, "other": settings.services.ext["game"]}}
    )
    python = ServiceCode().python_services(settings.model_copy(update={"services": services}))
    assert python.ext["game"].engine is not python.ext["other"].engine


def test_a_hot_service_that_looks_at_no_frame_is_refused(tmp_path: Path) -> None:
    with_none = tenant_with("unused", hot={3: {"kind": "python", "file": write(tmp_path, COUNTER)}})
    del with_none["services"]["ext"]["game"]
    settings = TenantSettings.model_validate({"id": "acme", **with_none})
    [fault] = ServiceCode().check(settings)
    assert fault.path == ("services", "hot", "3")
    assert "no handler of hot frames" in str(fault)
    write(tmp_path, COUNTER + "\n@service.hot(7)\ndef hot(context, frame): ...\n")
    assert list(ServiceCode().check(settings)) == []
