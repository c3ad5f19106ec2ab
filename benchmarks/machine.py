"""The machine: its cores and what to say about it, and what is installed on it."""

from __future__ import annotations

import os
import platform
import resource
import ssl
import subprocess
from pathlib import Path

__all__ = ["cores", "describe", "nginx_version", "pin", "raise_open_files"]


def cores() -> tuple[int, int | None]:
    """Return the client's core and the servers', which is None where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1] if len(usable) > 1 else None


def pin(core: int | None) -> None:
    """Keep this process, and those that it starts, on a core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def raise_open_files() -> int:
    """Allow as many open files as may be allowed, in this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe(client: int, server: int | None) -> dict[str, str]:
    """Return what figures have to be read with; the cores are those of `cores`."""
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}; client on core {client}, "
        + (f"servers on core {server}" if server is not None else "servers on the same one"),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "load": f"{os.getloadavg()[0]:.2f} before the start",
    }


def nginx_version(program: str) -> str:
    """Return what nginx says of itself."""
    output = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return output.strip().rpartition("/")[2]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
