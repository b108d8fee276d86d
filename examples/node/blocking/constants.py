# Made from examples/node/awaiting/constants.py by tools/make_blocking.py; change that one.
"""Constants of the module (http.METHODS; http.STATUS_CODES; http.maxHeaderSize; http.globalAgent).

Prints:
    34 methods from ACL to UNSUBSCRIBE
    404 Not Found
    16384
    True inf 256
"""

from __future__ import annotations

from anywire.sync import http


def main() -> None:
    print(len(http.METHODS), "methods from", http.METHODS[0], "to", http.METHODS[-1])
    print(404, http.STATUS_CODES[404])
    print(http.max_header_size)
    agent = http.global_agent
    print(isinstance(agent, http.Agent), agent.max_sockets, agent.max_free_sockets)


if __name__ == "__main__":
    main()
