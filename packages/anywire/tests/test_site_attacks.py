"""What broke when clients of a site were hostile. Each test is an attack that once ended in a 500 and a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from anywire.cli.static import Answer, Site, Upload


def test_folders_deeper_than_the_interpreters_stack_are_made(tmp_path: Path) -> None:
    begun = Site(tmp_path, upload=True).receive("/" + "d/" * 1500 + "f", {}, 0.0)
    assert isinstance(begun, Upload)
    with begun:
        begun.write(b"x")
        assert begun.finish({}).status == 201
    path = Path(str(tmp_path) + "/d" * 1500 + "/f")
    assert path.read_bytes() == b"x"
    path.unlink()
    for _ in range(1500):  # what clears temporary folders calls itself, too
        path = path.parent
        path.rmdir()


@pytest.mark.parametrize(("target", "status"), [("/loop/z", 400), ("/file/a/b", 409)])
def test_folders_that_cannot_be_made_are_the_clients_mistake(tmp_path: Path, target: str, status: int) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"")
    begun = Site(tmp_path, upload=True).receive(target, {}, 0.0)
    assert isinstance(begun, Answer)
    assert begun.status == status
