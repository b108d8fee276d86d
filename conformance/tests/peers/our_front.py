"""A front of ours: ``our_front.py RUNTIME PORT BACK``. It numbers what it forwards and logs what it took it for.

No proxy for anybody's use: it reads each body whole, and knows no more of fields than that some are about a connection.
Written once: in the blocking colour nothing it awaits ever suspends.
"""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from typing import Any

from on_runtime import AWAITING, serve

from anywire.conformance.backends import drive, settle

runtime, port, back = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
http: Any = importlib.import_module(f"anywire.{runtime}.http")
agent = http.Agent(keep_alive=True, max_sockets=8)
LIMITS = {"headers_timeout": 1.0, "request_timeout": 1.0, "keep_alive_timeout": 1.0}
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "content-length", "upgrade", "expect"}


async def forward(req: Any, res: Any) -> None:
    body = await settle(req.read())
    number = str(uuid.uuid4())
    headers = {name: value for name, value in req.headers.items() if name not in HOP_BY_HOP} | {"X-Front-Id": number}
    out = http.request(host="127.0.0.1", port=back, method=req.method, path=req.url, headers=headers, agent=agent)
    status = 502
    try:
        await settle(out.end(body))
        answer = await settle(out.response())
        text = await settle(answer.read())
        status = answer.status_code
    except ConnectionError:
        text = b""
    seen = {"id": number, "method": req.method, "url": req.url, "body": body.decode("latin-1"), "status": status}
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()
    res.write_head(status)
    await settle(res.end(text))


def blocking(req: Any, res: Any) -> None:
    drive(forward(req, res))


handler = forward if runtime in AWAITING else blocking
serve(runtime, lambda: http.create_server(handler, **LIMITS), port=port, host="127.0.0.1")
