"""Real proxies from PyPI, each in a process of its own, on a port that the system chose."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from .processes import Program

USER = "ann"
#: With characters that a URL must escape.
PASSWORD = "pass:w/rd@1"
#: ``USER:PASSWORD`` as a URL has it.
USERINFO = "ann:pass%3Aw%2Frd%401"


@dataclass
class Proxy:
    """A running proxy: ``netloc`` and ``url`` without credentials, ``userinfo`` beside them."""

    program: Program
    scheme: str
    port: int
    userinfo: str | None = None
    host: str = "127.0.0.1"

    @property
    def netloc(self) -> str:
        """The host and port."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The proxy's URL without credentials."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def url_with_credentials(self) -> str:
        """The proxy's URL with the credentials that it wants."""
        assert self.userinfo is not None, "this proxy wants no credentials"
        return f"{self.scheme}://{self.userinfo}@{self.netloc}"

    def log(self) -> str:
        """Return all that it has written so far."""
        return self.program.log()

    def wait_for_log(self, text: str) -> None:
        """Wait until it has written this: proxies log when a connection ends."""
        self.program.wait_for(lambda: text in self.log(), f"{text!r} in its log")

    def stop(self) -> None:
        """End it."""
        self.program.stop()


def start_http_proxy(folder: Path, *, auth: bool = False) -> Proxy:
    """Start proxy.py: plain requests and CONNECT, with Basic auth or without."""
    port_file = folder / "port"
    command: list[str | Path] = [sys.executable, "-m", "proxy"]
    command += ["--hostname", "127.0.0.1", "--port", "0", "--port-file", port_file]
    command += ["--num-acceptors", "1", "--num-workers", "1", "--data-dir", folder / "data"]
    if auth:
        command += ["--basic-auth", f"{USER}:{PASSWORD}"]
    program = Program(command, folder)
    return Proxy(program, "http", _port(program, port_file), USERINFO if auth else None)


def start_socks_proxy(folder: Path, scheme: str = "socks5", *, auth: bool = False) -> Proxy:
    """Start pproxy as a ``socks5`` or ``socks4`` server; version 4 knows only a user's name."""
    assert scheme in ("socks4", "socks5"), scheme
    port_file = folder / "port"
    secret = f"{USER}:{PASSWORD}" if scheme == "socks5" else USER
    listen = f"{scheme}://127.0.0.1:1" + (f"#{secret}" if auth else "")
    program = Program(
        [sys.executable, Path(__file__).with_name("socks_main.py"), listen, port_file], folder
    )
    userinfo = (USERINFO if scheme == "socks5" else USER) if auth else None
    return Proxy(program, scheme, _port(program, port_file), userinfo)


def _port(program: Program, port_file: Path) -> int:
    program.wait_for(lambda: _read(port_file).endswith("\n"), "port file")
    port = int(_read(port_file).split()[0])
    program.wait_for_port(port)
    return port


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
