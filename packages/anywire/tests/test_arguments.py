"""The command line: what is said about arguments that cannot be meant, and with what exit status."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from anywire.cli import _backends, _commands, main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["sing"], "sing"),
        (["serve", "--port", "65536"], "'65536' is not a port; it is a number from 0 (any free port) to 65535"),
        (["serve", "--port", "http"], "'http' is not a port"),
        (["serve", "--port", "-1"], "'-1' is not a port"),
        (["serve", "--port", "²"], "'²' is not a port"),
        (["serve", "--grace", "nan"], "'nan' is not a number of seconds"),
        (["serve", "--grace", "soon"], "'soon' is not a number of seconds"),
        (["serve", "--backend", "tokio"], "there is no backend 'tokio'; --backend can be: "),
        (["serve", "--backend", "all"], "there is no backend 'all'"),
        (["demo", "--backend", "tokio"], "there is no backend 'tokio'; --backend can be: all, "),
        (["demo", "--size", "1.5G"], "'1.5G' is not a size; write 1G, 64M, 100K or a number of bytes"),
        (["demo", "--sockets", "0"], "'0' is not a number from 1"),
        (["demo", "--root", "/no/such/folder"], "there is no folder '/no/such/folder'"),
        (["serve", "/no/such/folder"], "there is no folder '/no/such/folder'"),
        (["serve", __file__], "is a file; say the folder it is in"),
        (["serve", "a", "b"], "b"),
        (["serve", "--prot", "1"], "--prot"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anywire: ") and err.count("\n") == 1 and said in err


def test_an_unreadable_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "no", path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything, whatever the mode says
    for command in (["serve", str(tmp_path)], ["demo", "--root", str(tmp_path)]):
        assert main(command) == 2
        assert "cannot be read; choose another folder or change its permissions\n" in capsys.readouterr().err


def test_an_empty_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"anywire: there are no files under {tmp_path}; say another folder with --root\n"


def test_backends_that_are_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backends, "installed", lambda: ["asyncio"])
    assert main(["serve", "--backend", "trio"]) == 2
    assert capsys.readouterr().err == "anywire: backend trio is not installed; --backend can be: asyncio\n"
    monkeypatch.setattr(_backends, "installed", list)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "anywire: no backend is installed; install anywire-asyncio\n"


def test_all_backends_are_installed_here() -> None:
    assert _backends.choose("all", many=True) == list(_backends.KNOWN)


def test_uvloop_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_commands, "find_spec", lambda _: None)
    assert main(["serve", "--uvloop"]) == 2
    assert capsys.readouterr().err == "anywire: uvloop is not installed; pip install uvloop, or leave --uvloop out\n"


@pytest.mark.parametrize("backend", _backends.installed())
def test_a_port_in_use(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(tmp_path), "--port", str(port), "--backend", backend]) == 1
    assert capsys.readouterr() == (
        "",
        f"anywire: 127.0.0.1:{port} is in use; stop what listens there, or choose another port"
        " (--port 0 takes a free one)\n",
    )


def test_a_host_of_another_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 192.0.2.0/24 belongs to no machine (RFC 5737).
    assert main(["serve", str(tmp_path), "--host", "192.0.2.1", "--port", "0"]) == 1
    assert capsys.readouterr().err == "anywire: 192.0.2.1 is no address of this machine; say another --host\n"


@pytest.mark.parametrize("command", [[], ["serve"], ["demo"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: anywire")


def test_interrupted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(_commands, "choose", interrupt)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "anywire: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["demo", "--size", "1", "--root"]])
def test_output_that_nobody_reads(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"a")
    started = [sys.executable, "-m", "anywire.cli", *command, str(tmp_path)]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
