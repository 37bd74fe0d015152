"""The two packages, built as they are published, once a run."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.components import program
from tests.required import skip_unless_required

__all__ = ["JS_CLIENT", "PYTHON_CLIENT", "build_wheel", "built_js", "python_with_client", "run", "runtime"]

CLIENTS = Path(__file__).parents[2] / "clients"
JS_CLIENT = CLIENTS / "js"
PYTHON_CLIENT = CLIENTS / "python"
RUNTIMES = Path(__file__).parent / "runtimes"
"""A folder for each runtime that may come from npm."""
BUILD_S = 240


def run(*command: str, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


_LOCK = JS_CLIENT / ".test.lock"
"""Of all processes that test this checkout."""


@contextmanager
def _one_at_a_time(lock: Path = _LOCK) -> Iterator[None]:
    """Among all processes that share the file."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def built_js() -> Path:
    """``clients/js`` with its dependencies and a ``dist`` that is as new as its source."""
    program("node")
    npm = program("npm")
    with _one_at_a_time():
        if not (JS_CLIENT / "node_modules" / "typescript").exists():
            try:
                run(npm, "ci", "--no-audit", "--no-fund", cwd=JS_CLIENT)
            except AssertionError as error:
                skip_unless_required(f"the packages of clients/js cannot be had: {error}")
        newest = max(path.stat().st_mtime for path in (JS_CLIENT / "src").iterdir())
        built = JS_CLIENT / "dist" / "index.js"
        if not built.exists() or built.stat().st_mtime < newest:
            run(npm, "run", "build", cwd=JS_CLIENT)
    return JS_CLIENT


@functools.cache
def runtime(name: str) -> str:
    """The program of a JavaScript runtime: an installed one, else npm's package of Deno or Bun."""
    if name == "node" or shutil.which(name):
        return program(name)
    folder = RUNTIMES / name
    with _one_at_a_time():
        if not (folder / "node_modules" / ".bin" / name).exists():
            try:
                run(program("npm"), "ci", "--no-audit", "--no-fund", cwd=folder)
                run("node_modules/.bin/" + name, "--version", cwd=folder)
            except (AssertionError, OSError) as error:
                skip_unless_required(f"npm's package {name} cannot be had: {error}")
    return str(folder / "node_modules" / ".bin" / name)


def _of_this_run(name: str) -> Path:
    """A directory that all processes of this run of tests share."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    directory = Path(tempfile.gettempdir()) / f"wsprism-client-{run_id}" / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@functools.cache
def build_wheel() -> Path:
    """The wheel of ``clients/python``, built from a copy."""
    directory = _of_this_run("wheel")
    with _one_at_a_time(directory / "lock"):
        if not (directory / "dist").exists():
            source, built = directory / "source", directory / "built"
            shutil.copytree(
                PYTHON_CLIENT,
                source,
                ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"),
                dirs_exist_ok=True,
            )
            pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
            run(*pip, "-w", str(built), str(source), cwd=directory)
            built.rename(directory / "dist")
    return next((directory / "dist").glob("*.whl"))


@functools.cache
def python_with_client(name: str) -> Path:
    """The interpreter of an environment of ``python3.N``, made by this run, that has the wheel and what it needs."""
    minor = name.removeprefix("python3.")
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in [shutil.which(name), *map(str, versions.glob(f"3.{minor}.*/bin/python"))]:
        probe = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, {minor}))"
        if candidate and subprocess.run([candidate, "-c", probe], capture_output=True, check=False).returncode == 0:
            break
    else:
        skip_unless_required(f"{name} is not installed")
    directory = _of_this_run(name)
    python, done = directory / "bin" / "python", directory / "done"
    wheel = build_wheel()
    with _one_at_a_time(directory / "lock"):
        if not done.exists():
            run(candidate, "-m", "venv", "--without-pip", str(directory), cwd=directory)
            pip = (sys.executable, "-m", "pip", "--python", str(python))
            run(*pip, "install", "-q", f"{wheel}[msgpack]", cwd=directory)
            done.touch()
    return python
