"""A client of ours against Node's server: ``our_client.py RUNTIME PORT``. Prints what it saw as JSON.

Written once: in the blocking colour nothing it awaits ever suspends.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any

runtime, port = sys.argv[1], int(sys.argv[2])
http: Any = importlib.import_module(f"anywire.{runtime}.http")
BASE = f"http://127.0.0.1:{port}"


async def settle(value: Any) -> Any:
    return await value if inspect.iscoroutine(value) else value


async def fetched(path: str, agent: Any, **options: Any) -> Any:
    """The response, and its text."""
    req = http.request(BASE + path, agent=agent, **options)
    await settle(req.end())
    res = await settle(req.response())
    return res, (await settle(res.read())).decode()


async def received(stream: Any) -> str:
    data = b""
    while piece := await settle(stream.receive()):
        data += piece
    stream.close()
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

    hints: list[int] = []
    req = http.get(BASE + "/hints", agent=agent)
    req.on("information", lambda info: hints.append(info.status_code))
    res = await settle(req.response())
    await settle(res.read())
    seen["hints"] = [hints, res.status_code]

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


if runtime == "trio":
    import trio

    trio.run(main)
elif runtime == "asyncio":
    import asyncio

    asyncio.run(main())
else:
    try:
        main().send(None)
    except StopIteration:
        pass
