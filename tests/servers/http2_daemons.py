"""Servers of HTTP/2 that the distribution ships, run as those in `daemons` are.

Each serves the same documents over TLS. What takes uploads says so in `UPLOADS`; of those in
`COUNTED`, `asked` tells what came over which connection.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import trustme

from .daemons import DOCUMENTS, Daemon, _user, binary, helper
from .processes import start_on_free_port
from .tls import NAMES

__all__ = ["COUNTED", "MOST_REQUESTS", "STARTERS", "UPLOADS", "asked"]

#: nginx says GOAWAY after as many requests of a connection.
MOST_REQUESTS = 100


def _files(own: Path, ca: trustme.CA) -> tuple[Path, Path]:
    """Write a certificate with its key, and the documents; return both places."""
    pem = own / "server.pem"
    ca.issue_cert(*NAMES).private_key_and_cert_chain_pem.write_to_path(str(pem))
    root = own / "www"
    root.mkdir()
    for name, content in DOCUMENTS.items():
        (root / name).write_bytes(content)
    return pem, root


def _nginx(folder: Path, ca: trustme.CA) -> Daemon:
    program = binary("nginx")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user("www-data")
        pem, root = _files(own, ca)
        (root / "dav").mkdir()
        if user:
            shutil.chown(root / "dav", user)
        temporary = "\n".join(
            f"{kind}_temp_path {own}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (own / "nginx.conf").write_text(
            f"""
            {f"user {user};" if user else ""}
            daemon off;
            worker_processes 1;
            pid {own}/nginx.pid;
            error_log stderr warn;
            events {{ worker_connections 1024; }}
            http {{
                log_format plain "$request_method $uri $connection";
                access_log {own}/access.log plain;
                {temporary}
                types {{ text/plain txt; application/json json; }}
                gzip on; gzip_types application/json; gzip_min_length 100;
                client_max_body_size 64m;
                keepalive_requests {MOST_REQUESTS};
                ssl_certificate {pem};
                ssl_certificate_key {pem};
                server {{
                    listen 127.0.0.1:{port} ssl http2;
                    root {root};
                    location /dav/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
                    location /post {{ return 200 "posted"; }}
                    location /redirect/ {{ return 302 /small.txt; }}
                }}
            }}
            """
        )
        return [program, "-p", own, "-e", "stderr", "-c", own / "nginx.conf"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, port)


def _nghttpd(folder: Path, ca: trustme.CA) -> Daemon:
    program = binary("nghttpd")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        pem, root = _files(own, ca)
        return [
            program, "--address=127.0.0.1", f"--htdocs={root}", "--echo-upload",
            "--trailer=x-sum: 1", "--max-concurrent-streams=2500", str(port), pem, pem,
        ]  # fmt: skip

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, port)


def _apache(folder: Path, ca: trustme.CA) -> Daemon:
    program = binary("apache2", "httpd")
    modules = Path(
        helper("/usr/lib/apache2/modules/mod_http2.so", "/usr/lib64/httpd/modules/mod_http2.so")
    ).parent

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user("www-data", "apache")
        pem, root = _files(own, ca)
        loaded = "\n".join(
            f"LoadModule {name}_module {modules}/mod_{name}.so"
            for name in ("mpm_event", "authz_core", "mime", "ssl", "http2", "unixd")
            if (modules / f"mod_{name}.so").exists()
        )
        (own / "mime.types").write_text("text/plain txt\napplication/json json\n")
        (own / "httpd.conf").write_text(
            f"""
            {loaded}
            ServerRoot {own}
            ServerName localhost
            PidFile {own}/httpd.pid
            DefaultRuntimeDir {own}
            ErrorLog /dev/stderr
            TypesConfig {own}/mime.types
            {f"User {user}" if user else ""}
            Listen 127.0.0.1:{port}
            Protocols h2 http/1.1
            SSLEngine on
            SSLCertificateFile {pem}
            DocumentRoot {root}
            <Directory {root}>
                Require all granted
            </Directory>
            """
        )
        return [program, "-D", "FOREGROUND", "-f", own / "httpd.conf"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, port)


def _h2o(folder: Path, ca: trustme.CA) -> Daemon:
    program = binary("h2o")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user("nobody")
        pem, root = _files(own, ca)
        (own / "h2o.conf").write_text(
            f"""
{f"user: {user}" if user else ""}
num-threads: 1
access-log:
  path: {own}/access.log
  format: "%m %U %{{connection-id}}x"
listen:
  host: 127.0.0.1
  port: {port}
  ssl:
    certificate-file: {pem}
    key-file: {pem}
    ocsp-update-interval: 0
hosts:
  default:
    paths:
      "/":
        file.dir: {root}
      "/echo":
        mruby.handler: |
          lambda do |env|
            [200, {{}}, [env["rack.input"].read]]
          end
      "/redirect/":
        redirect:
          status: 302
          internal: NO
          url: /small.txt?
"""
        )
        return [program, "-m", "worker", "-c", own / "h2o.conf"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, port)


def _haproxy(folder: Path, ca: trustme.CA) -> Daemon:
    program = binary("haproxy")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        pem, root = _files(own, ca)
        rules = "\n".join(
            f"    http-request return status 200 content-type text/plain file {root / name}"
            f" if {{ path /{name} }}"
            for name in DOCUMENTS
            if len(DOCUMENTS[name]) < 15_000
        )
        (own / "haproxy.cfg").write_text(
            f"""
global
    log stderr format raw local0 err
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend secure
    bind 127.0.0.1:{port} ssl crt {pem} alpn h2,http/1.1
{rules}
    http-request return status 404
"""
        )
        return [program, "-db", "-f", own / "haproxy.cfg"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, port)


def _caddy(folder: Path, ca: trustme.CA) -> Daemon:
    program = binary("caddy")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        pem, root = _files(own, ca)
        (own / "Caddyfile").write_text(
            f"""
{{
    admin off
    auto_https off
    storage file_system {own}/storage
    servers {{
        protocols h1 h2
    }}
}}
https://127.0.0.1:{port}, https://localhost:{port} {{
    bind 127.0.0.1
    tls {pem} {pem}
    root * {root}
    log {{
        output file {own}/access.log
        format json
    }}
    redir /redirect/ /small.txt
    respond /echo "{{http.request.body}}"
    file_server
    encode gzip
}}
"""
        )
        return [program, "run", "--adapter", "caddyfile", "--config", own / "Caddyfile"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, port)


#: Each server by name, and what starts it.
STARTERS: dict[str, Callable[[Path, trustme.CA], Daemon]] = {
    "nginx": _nginx,
    "nghttpd": _nghttpd,
    "apache": _apache,
    "h2o": _h2o,
    "haproxy": _haproxy,
    "caddy": _caddy,
}
#: Those that take a body, and the method they take it by.
UPLOADS = {"nginx": "PUT", "nghttpd": "POST", "h2o": "POST", "caddy": "POST"}
#: Those that write down what they were asked.
COUNTED = ("nginx", "h2o", "caddy")


def asked(server: Daemon) -> list[tuple[str, str, str]]:
    """Return method, path and connection of each request that a server of `COUNTED` has logged."""
    log = server.program.folder / "access.log"
    found = []
    for line in log.read_text().splitlines() if log.exists() else ():
        if line.startswith("{"):
            request = json.loads(line)["request"]
            found.append((request["method"], request["uri"], request["remote_port"]))
        else:
            method, path, connection = line.split()
            found.append((method, path, connection))
    return found
