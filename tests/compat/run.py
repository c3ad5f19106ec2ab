"""Run the newest requests' own tests with reqkit in its place.

    python tests/compat/run.py [--version 2.34.2] [--left-out-only] [pytest's arguments]

The tests come with requests' source distribution, which pip downloads into a temporary folder;
nothing of it is kept. What is not run, and why, is in left_out.txt. With ``--left-out-only`` just
that is run: whatever passes there can be taken off the list.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def fetch(version: str | None, folder: Path) -> Path:
    """Download and unpack the source distribution; return its folder."""
    wanted = "requests" if version is None else f"requests=={version}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--no-binary", ":all:", "--dest", str(folder), wanted]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("requests-*.tar.gz")
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):
            opened.extractall(folder, filter="data")
        else:
            opened.extractall(folder)
    return folder / archive.name.removesuffix(".tar.gz")


def main() -> int:
    """Fetch the tests, run them, and return pytest's status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--version", help="of requests; the newest where it is not given")
    parser.add_argument("--left-out-only", action="store_true", help="run what is left out")
    options, others = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="requests-tests-") as folder:
        source = fetch(options.version, Path(folder))
        print(f"{source.name}, with reqkit in its place", flush=True)
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        paths = [str(HERE), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        if options.left_out_only:
            environment["REQKIT_LEFT_OUT_ONLY"] = "1"
        plugins = ["-p", "stand_in", "-p", "pytest_httpbin.plugin", "-p", "pytest_mock"]
        # In place of requests' own settings, which have it look for doctests too.
        (source / "pytest.ini").write_text("[pytest]\n", encoding="ascii")
        settings = ["-p", "no:cacheprovider", "-q", "--tb=short"]
        command = [sys.executable, "-m", "pytest", *plugins, *settings, "tests"]
        return subprocess.run([*command, *others], cwd=source, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
