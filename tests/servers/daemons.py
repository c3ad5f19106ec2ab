"""What the distribution ships, run from a folder of its own, on loopback, in the foreground.

Run by root, most of these give up root's rights: the folder must be one that others can enter
(pytest's own temporary folders are not).
"""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

from .processes import Program, free_port, start_on_free_port
from .proxies import PASSWORD, USER, USERINFO, Proxy
from .tls import NAMES

#: The realm of apache's digest and basic areas.
REALM = "the realm"
#: What nginx and apache serve: name to content.
DOCUMENTS = {
    "small.txt": b"small\n" * 170,
    "big.bin": bytes(range(256)) * 4096,
    "words.json": b'{"words": [' + b", ".join([b'"word"'] * 2000) + b"]}",
}

_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


class Missing(RuntimeError):
    """The program is not installed."""


@dataclass
class Daemon:
    """A running web server."""

    program: Program
    port: int
    tls_port: int | None = None
    #: Where a client's certificate is wanted.
    client_tls_port: int | None = None

    def __call__(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def secure(self, path: str = "/") -> str:
        """Return an https URL."""
        assert self.tls_port is not None, "this server has no TLS"
        return f"https://localhost:{self.tls_port}{path}"

    def secure_for_clients(self, path: str = "/") -> str:
        """Return an https URL that wants a client's certificate."""
        assert self.client_tls_port is not None, "this server takes no clients' certificates"
        return f"https://localhost:{self.client_tls_port}{path}"

    def stop(self) -> None:
        """End it."""
        self.program.stop()


def binary(*names: str) -> str:
    """Find a program under one of its names, where servers live too.

    Raises:
        Missing: there is none.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Missing(f"{' or '.join(names)} is not installed")


def helper(*paths: str) -> str:
    """Find a file that a package puts at one of these places."""
    for path in paths:
        if Path(path).exists():
            return path
    raise Missing(f"{' or '.join(paths)} is not installed")


def _user(*names: str) -> str | None:
    """Return the account to which root gives its rights up; None when we are not root."""
    if os.geteuid():
        return None
    for name in (*names, "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Missing(f"none of the accounts {names} is there")


def _documents(folder: Path) -> Path:
    root = folder / "www"
    for name, content in DOCUMENTS.items():
        for area in ("", "basic", "digest", "digest-short", "digest-counted"):
            path = root / area / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def start_nginx(folder: Path, ca: trustme.CA) -> Daemon:
    """Start nginx: files with ranges and gzip, redirects, PUT to ``/dav/``, and all over TLS.

    ``/facts`` tells the connection's number, how many requests it has had, whether its TLS was
    resumed (``r``), and whether the client's certificate was good. What is gzipped is chunked.
    """
    program = binary("nginx")
    leaf = ca.issue_cert(*NAMES)
    tls_ports = []

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user("www-data")
        root = _documents(own)
        (root / "dav").mkdir()
        leaf.private_key_and_cert_chain_pem.write_to_path(str(own / "server.pem"))
        if user:
            shutil.chown(root / "dav", user)
        ca.cert_pem.write_to_path(str(own / "ca.pem"))
        tls_ports.append((free_port(), free_port()))
        temporary = "\n".join(
            f"{kind}_temp_path {own}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        received = "$connection $connection_requests $ssl_session_reused $ssl_client_verify"
        facts = f'return 200 "{received}";'
        (own / "nginx.conf").write_text(
            f"""
            {f"user {user};" if user else ""}
            daemon off;
            worker_processes 1;
            pid {own}/nginx.pid;
            error_log stderr warn;
            events {{ worker_connections 1024; }}
            http {{
                access_log off;
                {temporary}
                types {{ text/plain txt; application/json json; }}
                default_type application/octet-stream;
                gzip on; gzip_types application/json; gzip_min_length 100;
                client_max_body_size 64m;
                ssl_certificate {own}/server.pem;
                ssl_certificate_key {own}/server.pem;
                ssl_session_cache shared:resumed:1m;
                server {{
                    listen 127.0.0.1:{tls_ports[-1][1]} ssl;
                    ssl_client_certificate {own}/ca.pem;
                    ssl_verify_client on;
                    location / {{ {facts} }}
                }}
                server {{
                    listen 127.0.0.1:{port};
                    listen 127.0.0.1:{tls_ports[-1][0]} ssl;
                    root {root};
                    location = /facts {{ {facts} }}
                    absolute_redirect off;
                    location /redirect/ {{ return 302 /small.txt; }}
                    location /echo {{ return 200 "$request_method $http_x_test\\n"; }}
                    location /dav/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
                }}
            }}
            """
        )
        return [program, "-p", own, "-e", "stderr", "-c", own / "nginx.conf"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port, *tls_ports[-1])


def start_apache(folder: Path) -> Daemon:
    """Start Apache with areas ``/basic/`` and ``/digest/``.

    In ``/digest-short/`` a nonce serves for a second; in ``/digest-counted/`` its counts have to
    come one after the other.

    Digest is MD5 with ``qop="auth"``: httpd 2.4's mod_auth_digest takes ``SHA-256`` (and
    ``MD5-sess``, ``auth-int`` and no qop at all) for errors in its configuration, so no server of
    the distribution's can be asked for those.
    """
    program = binary("apache2", "httpd")
    modules = Path(helper("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"))
    names = "mpm_event authn_core authn_file authz_core authz_user auth_basic auth_digest mime"
    loaded = "\n".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so"
        for name in names.split()
        if (modules / f"mod_{name}.so").exists()
    )

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user("www-data", "apache")
        root = _documents(own)
        (own / "mime.types").write_text("text/plain txt\napplication/json json\n")
        secret = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        (own / "basic.passwords").write_text(f"{USER}:{{SHA}}{secret}\n")
        hashed = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()
        (own / "digest.passwords").write_text(f"{USER}:{REALM}:{hashed}\n")
        (own / "httpd.conf").write_text(
            f"""
            {loaded}
            ServerRoot {own}
            ServerName localhost
            DefaultRuntimeDir {own}
            PidFile {own}/httpd.pid
            Listen 127.0.0.1:{port}
            {f"User {user}" if user else ""}
            {f"Group {user}" if user else ""}
            ErrorLog /dev/stderr
            TypesConfig {own}/mime.types
            DocumentRoot {root}
            KeepAlive On
            <Location /basic>
                AuthType Basic
                AuthName "{REALM}"
                AuthUserFile {own}/basic.passwords
                Require valid-user
            </Location>
            <Location /digest>
                AuthType Digest
                AuthName "{REALM}"
                AuthDigestProvider file
                AuthUserFile {own}/digest.passwords
                Require valid-user
            </Location>
            <Location /digest-short>
                AuthType Digest
                AuthName "{REALM}"
                AuthDigestProvider file
                AuthDigestNonceLifetime 1
                AuthUserFile {own}/digest.passwords
                Require valid-user
            </Location>
            <Location /digest-counted>
                AuthType Digest
                AuthName "{REALM}"
                AuthDigestProvider file
                AuthDigestNcCheck On
                AuthUserFile {own}/digest.passwords
                Require valid-user
            </Location>
            """
        )
        return [program, "-DFOREGROUND", "-f", own / "httpd.conf"]

    running, port = start_on_free_port(build, folder)
    return Daemon(running, port)


def start_squid(folder: Path, *, auth: bool = True) -> Proxy:
    """Start squid: plain requests and CONNECT to any port; for who has the password, or for all."""
    program = binary("squid")
    checker = helper("/usr/lib/squid/basic_ncsa_auth", "/usr/lib64/squid/basic_ncsa_auth")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user("proxy", "squid")
        # It takes a plain MD5 of the password too.
        (own / "passwords").write_text(f"{USER}:{hashlib.md5(PASSWORD.encode()).hexdigest()}\n")
        (own / "squid.conf").write_text(
            f"""
http_port 127.0.0.1:{port}
{f"cache_effective_user {user}" if user else ""}
auth_param basic program {checker} {own}/passwords
auth_param basic children 2 startup=1
auth_param basic realm {REALM}
{"acl known proxy_auth REQUIRED" if auth else "acl known src 127.0.0.1"}
http_access allow known
http_access deny all
cache deny all
access_log stdio:{own}/access.log
cache_log {own}/cache.log
pid_filename none
pinger_enable off
netdb_filename none
coredump_dir {own}
visible_hostname localhost
shutdown_lifetime 0 seconds
"""
        )
        if user:
            shutil.chown(own, user)
        return [program, "-N", "-f", own / "squid.conf"]

    running, port = start_on_free_port(build, folder)
    return Proxy(running, "http", port, USERINFO if auth else None)


def start_microsocks(folder: Path) -> Proxy:
    """Start microsocks: SOCKS5 with a user and a password."""
    program = binary("microsocks")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        return [program, "-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD]

    running, port = start_on_free_port(build, folder)
    return Proxy(running, "socks5", port, USERINFO)


def start_dante(folder: Path) -> Proxy:
    """Start dante: SOCKS 4 and 5 without credentials (its passwords are the system's accounts)."""
    program = binary("danted", "sockd")

    def build(port: int, own: Path) -> Sequence[str | Path]:
        user = _user()
        (own / "danted.conf").write_text(
            f"""
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
{f"user.unprivileged: {user}" if user else ""}
client pass {{
    from: 127.0.0.0/8 to: 0.0.0.0/0
    log: error
}}
socks pass {{
    from: 127.0.0.0/8 to: 0.0.0.0/0
    protocol: tcp
    command: connect
    log: connect error
}}
"""
        )
        return [program, "-f", own / "danted.conf", "-p", own / "danted.pid"]

    running, port = start_on_free_port(build, folder)
    return Proxy(running, "socks5", port)
