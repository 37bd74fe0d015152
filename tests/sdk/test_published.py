"""What is published: the npm package and the wheel, their size, their examples, and the list of behaviours."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml
from aiohttp import web

from tests.browser import chromium
from tests.components import program
from tests.process import GatewayCommand
from tests.sdk.conftest import CONFIG
from tests.sdk.packages import JS_CLIENT, PYTHON_CLIENT, build_wheel, built_js, run
from tests.sdk.table import table

MAX_JS_BYTES = 12 * 1024
EXAMPLE_S = 60
REPORT = """<script>
setInterval(() => {
    const said = document.querySelector("#said").textContent;
    if (said) fetch("/said?" + said);
}, 50);
</script>"""


def _example(readme: Path, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", readme.read_text(), re.S)
    assert found is not None
    return found[1]


def test_every_behaviour_is_listed_and_every_listed_one_is_tested() -> None:
    listed = re.findall(r"^\| ([^|]+) \| (?:script|proxy|gateway|nodes|nobody) \|$", _behaviours(), re.M)
    tested = [
        name.replace("_", " ")
        for file in ("connection", "messages", "rooms", "memory", "nodes", "hostile")
        for name in re.findall(r"^async def test_(\w+)\(sdk", re.sub(r"\(\n\s*sdk", "(sdk", _source(file)), re.M)
    ]
    assert listed == tested


def _with_port(example: str, port: int, file: Path) -> Path:
    file.write_text(example.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    return file


def _behaviours() -> str:
    return (JS_CLIENT.parent / "behaviours.md").read_text()


def _source(name: str) -> str:
    return (Path(__file__).parent / f"test_{name}.py").read_text()


def test_the_table_says_who_does_what() -> None:
    outcomes = [
        ("tests/sdk/test_rooms.py::test_a_b[python]", "passed"),
        ("tests/sdk/test_rooms.py::test_a_b[node-1]", "passed"),
        ("tests/sdk/test_rooms.py::test_a_b[node-2]", "failed"),
        ("tests/sdk/test_rooms.py::test_c[python3.10]", "skipped"),
        ("tests/unit/test_other.py::test_c[python]", "passed"),
    ]
    assert table(outcomes)[2:] == ["| a b | green | red |  |", "| c |  |  | n/a |"]
    assert table([]) == []


def test_the_js_package_holds_what_it_should_and_nothing_else() -> None:
    npm = program("npm")
    packed = json.loads(run(npm, "pack", "--dry-run", "--json", "--ignore-scripts", cwd=built_js()))
    entry = packed[0] if isinstance(packed, list) else next(iter(packed.values()))
    names = {file["path"] for file in entry["files"]}
    others = {name for name in names if not name.startswith("dist/")}
    assert others == {"package.json", "README.md", "LICENSE", "CHANGELOG.md"}
    sources = {path.stem for path in (JS_CLIENT / "src").glob("*.ts")}
    assert names - others == {f"dist/{stem}{end}" for stem in sources for end in (".js", ".d.ts")}
    assert "dependencies" not in json.loads((JS_CLIENT / "package.json").read_text())


def test_the_js_package_is_small() -> None:
    bundle = subprocess.run(
        [built_js() / "node_modules/.bin/esbuild", "dist/index.js", "--bundle", "--minify", "--format=esm"],
        cwd=JS_CLIENT,
        capture_output=True,
        timeout=EXAMPLE_S,
        check=True,
    ).stdout
    size = len(gzip.compress(bundle, 9))
    print(f"wsprism-client: {len(bundle)} bytes minified, {size} bytes gzipped")
    assert size < MAX_JS_BYTES


def test_the_wheel_holds_what_it_should_and_nothing_else() -> None:
    with zipfile.ZipFile(build_wheel()) as wheel:
        names = set(wheel.namelist())
    modules = {f"wsprism_client/{path.name}" for path in (PYTHON_CLIENT / "wsprism_client").iterdir() if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == modules
    assert "wsprism_client/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)


async def _output(command: list[str], file: Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, str(file), stdout=asyncio.subprocess.PIPE, env={"PATH": "/usr/bin:/bin", **environment}
    )
    async with asyncio.timeout(EXAMPLE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_the_examples_run(tmp_path: Path) -> None:

    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "wsprism-client").symlink_to(built_js())
    (modules / "ws").symlink_to(JS_CLIENT / "node_modules" / "ws")
    async with GatewayCommand(yaml.safe_dump(CONFIG), tmp_path) as gateway:
        node = _example(JS_CLIENT / "README.md", "node")
        assert await _output([program("node")], _with_port(node, gateway.port, tmp_path / "a.mjs")) == "Hello World\n"
        python = _example(PYTHON_CLIENT / "README.md", "python")
        command = [sys.executable, "-W", "error"]
        path = str(PYTHON_CLIENT)
        assert (
            await _output(command, _with_port(python, gateway.port, tmp_path / "a.py"), PYTHONPATH=path)
            == "Hello World\n"
        )


async def test_the_page_of_the_readme_runs(tmp_path: Path) -> None:
    package = built_js()
    async with GatewayCommand(yaml.safe_dump(CONFIG), tmp_path) as gateway:
        page = _example(JS_CLIENT / "README.md", "browser").replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
        page += REPORT
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            if request.path == "/said" and not said.done():
                said.set_result(request.query_string)
            if request.path.startswith("/dist/"):
                return web.Response(text=(package / request.path[1:]).read_text(), content_type="text/javascript")
            return web.Response(text=page, content_type="text/html")

        runner = web.ServerRunner(web.Server(serve))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            async with chromium(tmp_path / "profile", url), asyncio.timeout(EXAMPLE_S):
                assert await said == "Hello World"
        finally:
            await runner.cleanup()
