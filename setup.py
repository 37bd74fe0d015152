"""Compiles the hot modules with mypyc where there is a C compiler, and goes on without one.

pyproject.toml says everything else, the list of modules included. `WSPRISM_COMPILE=0` never compiles, `=1` compiles or
fails. An editable install and a source distribution never compile: they are for the source.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

_BUILDS = {"bdist_wheel", "build", "build_ext", "install"}
_WITHIN_ITSELF = ["-fvisibility=hidden", "-fno-semantic-interposition", "-fno-plt"]
"""Its functions are nobody else's: they call each other straight, not through the linker's table."""

_PROBE = '#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return PyModule_New("probe"); }\n'


def wish() -> str:
    """What `WSPRISM_COMPILE` says: "0", "1", or nothing."""
    value = os.environ.get("WSPRISM_COMPILE", "")
    if value not in ("", "0", "1"):
        sys.exit(f"WSPRISM_COMPILE is {value!r}: set it to 0 (never compile) or 1 (compile or fail), or leave it out")
    return value


def hot_modules() -> list[str]:
    """The files that `[tool.wsprism.compile]` names."""
    rule = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["wsprism"]["compile"]
    found = {path for pattern in rule["include"] for path in Path().glob(pattern)}
    return sorted(map(str, found.difference(*(Path().glob(pattern) for pattern in rule["exclude"]))))


def has_compiler() -> bool:
    """Whether an extension can be built here: a C compiler that works and finds Python's headers."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(_PROBE)
        probe = Distribution({"name": "probe", "ext_modules": [Extension("probe", [str(source)])]})
        command = build_ext(probe)
        command.build_temp = command.build_lib = folder
        try:
            command.ensure_finalized()
            command.run()
        except (BaseError, CCompilerError, OSError):
            return False
    return True


def extensions() -> list[Extension]:
    """What this build compiles: all of the hot modules, or nothing."""
    if not _BUILDS.intersection(sys.argv) or wish() == "0":
        return []
    if not has_compiler():
        if wish() == "1":
            sys.exit("WSPRISM_COMPILE is 1, but no C compiler works here with Python's headers: install gcc or clang")
        print("no C compiler with Python's headers found: wsPrism stays pure Python")
        return []
    from mypyc.build import mypycify

    # Like the tests: errors of type are the checks' business, and what a module imports may be missing here.
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--no-warn-unused-ignores"]
    built: list[Extension] = mypycify([*options, *hot_modules()], group_name="wsprism")
    if os.name == "posix":
        for extension in built:
            extension.extra_compile_args = [*extension.extra_compile_args, *_WITHIN_ITSELF]
    return built


setup(ext_modules=extensions())
