"""A client of ours against Node's server: ``our_client.py RUNTIME PORT``. Prints what it saw as JSON.

Against nginx or HAProxy: ``our_client.py RUNTIME PORT SHORT TLS CA``: the port of one that closes idle connections
after 20 ms, of one that speaks TLS, and who signed its certificate.

Written once: in the blocking colour nothing it awaits ever suspends.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path
from typing import Any

from on_runtime import run

from anywire.conformance.backends import settle

runtime, port, *others = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
http: Any = importlib.import_module(f"anywire.{runtime}.http")
BASE = f"http://127.0.0.1:{port}"


async def fetched(path: str, agent: Any, **options: Any) -> Any:
    """The response, and its text."""
    req = http.request(BASE + path, agent=agent, **options)
    await settle(req.end())
    res = await settle(req.response())
    return res, (await settle(res.read())).decode()


async def hinted(agent: Any) -> list[Any]:
    """Statuses of what came before the answer, and its own."""
    hints: list[int] = []
    req = http.get(BASE + "/hints", agent=agent)
    req.on("information", lambda info: hints.append(info.status_code))
    res = await settle(req.response())
    await settle(res.read())
    return [hints, res.status_code]


async def received(stream: Any) -> str:
    data = b""
    while piece := await settle(stream.receive()):
        data += piece
    await settle(stream.close())
    return bytes(data).decode()


async def main() -> None:
    seen: dict[str, Any] = {}
    agent = http.Agent(keep_alive=True, max_sockets=4)
    res, text = await fetched("/", agent)
    seen["get"] = [res.status_code, text]

    requests = [http.get(f"{BASE}/{number}", agent=agent) for number in range(40)]
    right = True
    for number, req in enumerate(requests):
        res = await settle(req.response())
        right = right and (await settle(res.read())) == b"GET /%d 0" % number
    seen["many"] = right
    seen["sockets"] = agent.total_stats().created

    res, text = await fetched("/chunks", agent)
    seen["chunks"] = [res.status_code, text, res.trailers]

    req = http.request(BASE + "/body", method="POST", agent=agent)
    for _ in range(16):
        await settle(req.write(bytes(65536)))
    await settle(req.end(trailers={"X-After": "yes"}))
    res = await settle(req.response())
    seen["post"] = [res.status_code, (await settle(res.read())).decode()]

    told: list[Any] = []
    req = http.request(BASE + "/body", method="POST", agent=agent, headers={"Expect": "100-continue"})
    req.on("continue", lambda: told.append(True))
    await settle(req.end(b"hello"))
    res = await settle(req.response())
    seen["continue"] = [told == [True], res.status_code, (await settle(res.read())).decode()]

    res, text = await fetched("/close", agent)
    seen["close"] = [res.status_code, text]

    seen["hints"] = await hinted(agent)

    res, text = await fetched("/", agent, method="HEAD")
    seen["head"] = [res.status_code, text]

    req = http.request(BASE + "/refuse", method="POST", agent=agent)
    try:
        for _ in range(400):
            await settle(req.write(bytes(65536)))
    except ConnectionError:
        pass  # told to stop; the answer is there
    res = await settle(req.response())
    seen["refused"] = [res.status_code, (await settle(res.read())).decode()]

    req = http.request(BASE, method="CONNECT", path="h.example:80", agent=agent)
    res, stream, head = await settle(req.upgraded())
    seen["tunnel"] = head.decode() + await received(stream)

    req = http.request(BASE, agent=agent, headers={"Connection": "upgrade", "Upgrade": "echo"})
    await settle(req.end())
    res, stream, head = await settle(req.upgraded())
    await settle(stream.send(b"hi"))
    seen["upgrade"] = head.decode() + await received(stream)

    agent.destroy()
    sys.stdout.write(json.dumps(seen))


async def pause(seconds: float) -> None:
    await settle(importlib.import_module("time" if runtime == "sync" else runtime).sleep(seconds))


async def failing(path: str, agent: Any) -> list[Any]:
    """What the error tells."""
    try:
        await fetched(path, agent)
    except ConnectionError as error:
        failed: Any = error
        return [failed.code, bytes(getattr(failed, "partial", b"")).decode(), failed.response_started]
    return []


async def behind() -> None:
    """All that is asked of a client before nginx and HAProxy."""
    seen: dict[str, Any] = {}
    short, tls = map(int, others[:2])

    async def sized(path: str, **options: Any) -> list[int]:
        req = http.request(BASE + path, agent=agent, **options)
        await settle(req.end())
        res = await settle(req.response())
        size = 0
        while piece := await settle(res.read(65536)):
            size += len(piece)
        return [res.status_code, size]

    agent = http.Agent(keep_alive=True, max_sockets=1)
    texts = [(await fetched(f"/number/{number}", agent))[0].status_code for number in range(40)]
    seen["many"] = texts == [200] * 40
    seen["sockets"] = agent.total_stats().created
    agent.destroy()

    agent = http.Agent(keep_alive=True)
    closed, statuses = 0, set()
    for number in range(150):  # around the moment in which the server closes
        req = http.get(f"http://127.0.0.1:{short}/number/{number}", agent=agent)
        res = await settle(req.response())
        await settle(res.read())
        statuses.add(res.status_code)
        closed += not req.reused_socket
        await pause(0.016 + number % 9 / 1000)
    seen["idle"] = [*statuses, 0 < closed < 150]

    await sized("/big")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen["down"] = await sized("/big")
    req = http.request(BASE + "/upload", method="PUT", agent=agent)
    for _ in range(1024):
        await settle(req.write(bytes(65536)))
    await settle(req.end())
    res = await settle(req.response())
    seen["up"] = [res.status_code, json.loads(await settle(res.read()))["body"]]
    seen["grew"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 > 16

    res, text = await fetched("/trailers", agent)
    seen["trailers"] = [res.status_code, text, res.trailers]

    told: list[Any] = []
    req = http.request(BASE + "/upload", method="POST", agent=agent, headers={"Expect": "100-continue"})
    req.on("continue", lambda: told.append(True))
    await settle(req.end(b"hello"))
    res = await settle(req.response())
    seen["continue"] = [told, res.status_code, json.loads(await settle(res.read()))["body"]]

    seen["hints"] = await hinted(agent)

    for headers in ({}, {"Expect": "100-continue"}):
        req = http.request(BASE + "/small", method="POST", agent=agent, headers={"Content-Length": 1 << 26, **headers})
        try:
            for _ in range(1024):
                await settle(req.write(bytes(65536)))
        except ConnectionError:
            pass  # told to stop; the answer is there
        res = await settle(req.response())
        await settle(res.read())
        seen.setdefault("small", []).append(res.status_code)
        req.destroy()

    seen["head"] = await sized("/number/1", method="HEAD")
    seen["none"] = await sized("/none")
    seen["same"] = await sized("/same", headers={"If-None-Match": "*"})
    seen["pages"] = [(await sized(path))[0] for path in ("/dead", "/away", "/number/2")]
    seen["gone"] = await failing("/gone", agent)
    seen["broken"] = await failing("/broken", agent)

    where = {"method": "CONNECT", "path": "h.example:80", "headers": {"Host": "h.example:80"}}
    res, stream, head = await settle(http.request(BASE, agent=agent, **where).upgraded())
    seen["connect"] = [res.status_code, (head.decode() + await received(stream))[-12:]]

    https: Any = importlib.import_module(f"anywire.{runtime}.https")
    secure = https.Agent(keep_alive=True, ca=AUTHORITY)
    for _ in range(3):
        req = https.request(f"https://localhost:{tls}/upload", method="PUT", agent=secure, family=4)
        await settle(req.end(bytes(1 << 20)))
        res = await settle(req.response())
        seen.setdefault("secure", []).append([res.status_code, json.loads(await settle(res.read()))["body"]])
    seen["reused"] = req.reused_socket

    agent.destroy()
    secure.destroy()
    sys.stdout.write(json.dumps(seen))


AUTHORITY = Path(others[2]).read_bytes() if others else b""
run(runtime, behind if others else main)
