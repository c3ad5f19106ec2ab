"""A pytest plugin: ``import requests`` gives reqkit.

Only the names are put where they are expected; what requests has and reqkit has not is missing
here too, so that a test which needs it fails. The stdlib's names that requests hands on in its
``compat`` are the exception.
"""

from __future__ import annotations

import http.cookiejar
import http.cookies
import json
import sys
import types
import urllib.parse
import urllib.request
from collections.abc import MutableMapping
from typing import Any

import charset_normalizer
import idna
import urllib3

import reqkit
import reqkit.api
import reqkit.sessions
import reqkit.status_codes

#: The modules of requests that reqkit has by the same name.
SAME = (
    "adapters", "api", "auth", "cookies", "exceptions", "hooks", "sessions", "status_codes",
    "structures",
)  # fmt: skip

#: What requests' tests call by a private name, and reqkit has by another.
PRIVATE: dict[str, dict[str, Any]] = {
    "auth": {"_basic_auth_str": reqkit.auth.basic_header},
    "sessions": {"SessionRedirectMixin": reqkit.Session},
}


def _module(name: str, doc: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name, doc)
    module.__dict__.update(names)
    sys.modules[name] = module
    return module


def install() -> None:
    """Put the names into `sys.modules`."""
    assert "requests" not in sys.modules, "requests was imported before the stand-in"
    top = _module("requests", "reqkit, by the name that the tests know.", __path__=[])
    top.__dict__.update({name: getattr(reqkit, name) for name in reqkit.__all__})
    for name in SAME:
        original = sys.modules[f"reqkit.{name}"]
        # A module of its own where a test names a private part: reqkit's is left as it is.
        extra = PRIVATE.get(name)
        if extra is None:
            module = sys.modules[f"requests.{name}"] = original
        else:
            module = _module(f"requests.{name}", "", **{**vars(original), **extra})
        setattr(top, name, module)
    top.models = _module(  # type: ignore[attr-defined]
        "requests.models",
        "Where requests keeps its classes.",
        Request=reqkit.Request,
        PreparedRequest=reqkit.PreparedRequest,
        Response=reqkit.Response,
        urlencode=urllib.parse.urlencode,
    )
    top.compat = _module(  # type: ignore[attr-defined]
        "requests.compat",
        "The standard library's names.",
        JSONDecodeError=json.JSONDecodeError,
        Morsel=http.cookies.Morsel,
        MutableMapping=MutableMapping,
        builtin_str=str,
        cookielib=http.cookiejar,
        getproxies=urllib.request.getproxies,
        is_urllib3_1=False,
        urljoin=urllib.parse.urljoin,
        urlparse=urllib.parse.urlparse,
    )
    packages = {"urllib3": urllib3, "idna": idna, "chardet": charset_normalizer}
    top.packages = _module(  # type: ignore[attr-defined]
        "requests.packages", "What requests is built on.", __path__=[], **packages
    )
    for name, package in packages.items():
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            sys.modules[f"requests.packages.{loaded}"] = sys.modules[loaded]
        sys.modules[f"requests.packages.{name}"] = package


install()
