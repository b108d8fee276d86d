"""A client's and a server's connection talking to each other: what one says is what the other hears."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from anywire.core._request import ClientRequest

from .harness import ConnectionPair, Steps, drain, read_all


def echo(req: Any, res: Any) -> Steps:
    """Answer with the body as it came, chunk by chunk, and the trailers as fields."""
    pieces: list[bytes] = []
    yield from read_all(req, pieces)
    res.set_header("X-Method", req.method)
    for piece in pieces:
        res.write_nowait(piece)
    res.end_nowait(trailers=req.trailers or None)


def single(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def ask(pair: ConnectionPair, body: list[Any] | None = None, **options: Any) -> ClientRequest:
    request = pair.client.request(**options)
    for piece in body or []:
        request.write_nowait(piece)
    request.end_nowait()
    pair.client.connect(request)
    pair.carry(request)
    return request


@pytest.mark.parametrize("cut", [None, single])
@pytest.mark.parametrize(
    "body", [[], [b"a"], [b"abc", b"", b"d" * 20000], ["text é"]], ids=["none", "one", "several", "text"]
)
def test_echo(body: list[Any], cut: Any) -> None:
    pair = ConnectionPair(echo, cut=cut)
    request = ask(pair, body, method="POST")
    message = request.res
    assert message is not None and message.status_code == 200
    expected = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in body)
    got = b""
    while not message.complete:
        got += b"".join(drain(message))
        pair.client.pump.resume()  # reading had stopped at the bound
    assert got == expected
    assert message.headers["x-method"] == "POST"


def test_several_exchanges_on_one_connection_keep_alive() -> None:
    pair = ConnectionPair(echo)
    for number in range(5):
        request = ask(pair, [str(number)], method="PUT", path=f"/{number}")
        assert drain(request.res) == [str(number).encode(), b""]
        assert request.reused_socket is (number > 0)
    assert len(pair.client.pumps) == 1
    assert [req.url for req, _ in pair.serving.requests] == [f"/{number}" for number in range(5)]


def test_trailers_both_ways_MSG_7_RES_60() -> None:
    pair = ConnectionPair(echo)
    request = pair.client.request(method="POST")
    request.write_nowait("a")
    request.end_nowait(trailers={"X-Sum": "7"})
    pair.client.connect(request)
    pair.carry(request)
    assert request.res is not None
    drain(request.res)
    assert request.res.trailers == {"x-sum": "7"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("status", [200, 204, 205, 304, 404])
def test_bodiless_answers_leave_both_ends_in_step(method: str, status: int) -> None:
    """Any disagreement about the body would make the second exchange fail (WIR-1, WIR-83 to WIR-85)."""

    def handler(req: Any, res: Any) -> None:
        res.status_code = status
        res.end_nowait("body")

    pair = ConnectionPair(handler)
    for _ in range(2):
        request = ask(pair, method=method)
        assert request.res is not None and request.res.status_code == status
        expected = b"" if method == "HEAD" or status in (204, 304) else b"body"
        assert b"".join(drain(request.res)) == expected
        if method == "HEAD" and status not in (204, 304):
            assert pair.client.pump.closing  # WIR-83: an answer to HEAD without a length does not persist
            return
    assert len(pair.client.pumps) == 1


def test_100_continue_end_to_end_SRV_20_CLI_33() -> None:
    pair = ConnectionPair(echo)
    request = pair.client.request(method="POST", headers={"Expect": "100-continue"})
    pair.client.connect(request)
    pair.carry(request)
    assert pair.client.log[-2:] == ["req.continue", "req.information 100"]
    request.end_nowait("body")
    pair.carry(request)
    assert b"".join(drain(request.res)) == b"body"


def test_early_hints_end_to_end_RES_L4_CLI_34() -> None:
    def handler(req: Any, res: Any) -> None:
        res.write_information_nowait(103, {"Link": "</a>"})
        res.end_nowait("x")

    pair = ConnectionPair(handler)
    request = ask(pair)
    assert request.res is not None
    assert pair.client.log[2:4] == ["req.information 103", "req.response 200"]


def test_connection_close_ends_both_sides_WIR_37() -> None:
    pair = ConnectionPair(lambda req, res: res.end_nowait("x"))
    request = ask(pair, headers={"Connection": "close"})
    assert drain(request.res) == [b"x", b""]
    pair.carry()
    assert pair.serving.ended and pair.client.pump.over
    assert not pair.client.pump.aborted and not pair.serving.pump.aborted


def test_body_until_close_end_to_end_MSG_43_RES_37() -> None:
    def handler(req: Any, res: Any) -> None:
        res.remove_header("Transfer-Encoding")
        res.write_nowait("a")
        res.end_nowait("b")

    pair = ConnectionPair(handler)
    request = ask(pair)
    message = request.res
    assert message is not None
    assert b"".join(drain(message)) == b"ab" and message.complete


def test_server_cut_off_in_the_middle_is_never_complete_decision_18() -> None:
    def handler(req: Any, res: Any) -> None:
        res.write_nowait("part")
        raise RuntimeError("boom")

    pair = ConnectionPair(handler)
    request = ask(pair)
    message = request.res
    assert message is not None and message.read_nowait() == b"part"
    with pytest.raises(ConnectionResetError):
        message.read_nowait()
    assert message.aborted and not message.complete


def test_upgrade_end_to_end_SRV_69_CLI_42() -> None:
    pair = ConnectionPair()

    def upgrade(req: Any, head: bytes) -> None:
        pair.serving.connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nwelcome"
        )
        pair.serving.pump.flush()

    pair.serving.server.on("upgrade", upgrade)
    request = ask(pair, headers={"Connection": "upgrade", "Upgrade": "x"})
    assert request._switched is not None and request._switched[1] == b"welcome"
    assert pair.serving.upgraded == b""
    assert not pair.client.pump.over and not pair.serving.pump.over


def test_early_refusal_of_an_upload_reaches_the_client() -> None:
    """413 with Connection: close while the body is on its way: the client reads it, nobody is reset."""

    def refuse(req: Any, res: Any) -> None:
        res.write_head(413, {"Connection": "close"})
        res.end_nowait("too long")

    pair = ConnectionPair(refuse)
    request = pair.client.request(method="POST")
    request.write_nowait(bytes(100_000))
    pair.client.connect(request)
    pair.carry(request)
    assert request.res is not None and request.res.status_code == 413
    assert b"".join(drain(request.res)) == b"too long"
    assert request.write_nowait(b"more") is False
    pair.carry()
    assert not pair.serving.pump.aborted and pair.serving.ended


def test_close_exactly_once_on_all_four_decision_3() -> None:
    for body in ("", "body"):
        pair = ConnectionPair(lambda req, res, body=body: res.end_nowait(body))  # type: ignore[misc]
        request = ask(pair, method="POST")
        drain(request.res)
        for label in ("req.close", "res.close"):
            assert pair.client.log.count(label) == 1
        for label in ("req1.close", "res1.close"):
            assert pair.serving.log.count(label) == 1
