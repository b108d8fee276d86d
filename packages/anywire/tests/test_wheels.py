"""ASK-58: every part is one wheel for every Python and system, and installs without a compiler or a network."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[3]
PARTS = sorted(path.parent for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("packages/*/pyproject.toml")])
WITHOUT_OTHERS = ["anywire-sync", "anywire-asyncio", "anywire-conformance"]  # all that these need are parts of ours

ASK = """
import asyncio, threading
from anywire.asyncio import http
from anywire.sync import http as blocking

async def app(req, res):
    await res.end("installed")

async def main():
    async with http.create_server(app) as server:
        await server.listen(0, "127.0.0.1")
        url = f"http://127.0.0.1:{server.address()[1]}/"
        async with http.get(url) as res:
            print((await res.read()).decode())
        print(await asyncio.to_thread(ask, url))

def ask(url):
    with blocking.Agent() as agent, blocking.get(url, agent=agent) as res:
        return res.read().decode()

asyncio.run(main())
"""


def run(*command: str | Path, **environment: str) -> str:
    """What it says; its complaints are in the error if it fails."""
    # PATH leads nowhere: there is no compiler, and no other tool.
    clean = {"PATH": "/nonexistent", "HOME": "/nonexistent", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_every_part_is_a_wheel_for_every_python_and_installs_without_a_compiler(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    pip = ["-m", "pip", "--quiet", "--isolated"]
    build: list[str | Path] = [
        sys.executable,
        *pip,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        wheels,
    ]
    run(*build, *PARTS, TMPDIR=os.fspath(tmp_path))
    made = sorted(wheels.iterdir())
    assert len(made) == len(PARTS) >= 7
    for wheel in made:
        assert wheel.name.endswith("-py3-none-any.whl")
        with ZipFile(wheel) as content:
            kinds = {Path(name).suffix for name in content.namelist()}
            assert not kinds & {".so", ".pyd", ".dylib", ".c", ".pyx"}, wheel.name

    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    install: list[str | Path] = [
        python,
        *pip,
        "install",
        "--no-index",
        "--only-binary",
        ":all:",
        "--find-links",
        wheels,
    ]
    run(*install, *WITHOUT_OTHERS)
    assert run(python, "-W", "error", "-c", ASK) == "installed\ninstalled\n"
    # What trio, gevent and rich are made of is theirs to say; our own parts beside them are as pure.
    run(*install, "--no-deps", *made)
