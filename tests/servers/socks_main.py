"""Run pproxy on a port that the system chooses, and write that port to a file.

Its own command line takes no port 0. Usage: socks_main.py LISTEN_URI PORT_FILE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pproxy


async def main(listen: str, port_file: str) -> None:
    server = pproxy.Server(listen)
    server.port = 0
    options: dict[str, Any] = {
        "rserver": [pproxy.Connection("direct://")],
        # A look-up or a connection that fails is told, with the client that wanted it.
        "verbose": lambda text: print(text, flush=True),
        # Every connection has to give its password: pproxy otherwise remembers the address.
        "authtime": -1,
    }
    running = await server.start_server(options)
    port = running.sockets[0].getsockname()[1]
    Path(port_file).write_text(f"{port}\n")
    await running.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
