"""What `[tool.wsprism.compile]` names follows its own rule, as far as the source shows it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULE = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["wsprism"]["compile"]


def _named() -> set[Path]:
    found = {path for pattern in RULE["include"] for path in ROOT.glob(pattern)}
    return found - {path for pattern in RULE["exclude"] for path in ROOT.glob(pattern)}


def test_every_line_of_the_list_names_a_module() -> None:
    assert all(list(ROOT.glob(pattern)) for pattern in [*RULE["include"], *RULE["exclude"]])


def test_no_compiled_module_reads_a_struct_of_its_own() -> None:
    """mypyc leaves out a class's keywords, and says of a field only its bare type."""
    for path in _named():
        source = path.read_text()
        structs = re.findall(r"^class (\w+)\(msgspec\.Struct(.*)\):$", source, re.MULTILINE)
        for name, keywords in structs:
            assert set(re.findall(r"(\w+)=", keywords)) <= {"gc", "frozen"}, f"{path.name}: {name}"
            assert f"Decoder({name})" not in source, f"{path.name}: {name}"
