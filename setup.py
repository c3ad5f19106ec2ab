"""What setup.cfg cannot say: the extension, which is optional.

It is one file for all of CPython from 3.10 on (the stable ABI). Where it cannot be compiled there
is none, and Python does its part. With ``REQKIT_NO_EXTENSIONS=1`` there is none either, and the
wheel is a pure one.
"""

import os
import sys
import sysconfig

from setuptools import Extension, setup

HEAD = Extension(
    "reqkit.wire.h1._head",
    ["reqkit/wire/h1/_head.c"],
    define_macros=[("Py_LIMITED_API", "0x030A0000")],
    py_limited_api=True,
    optional=True,
)

# Builds without a global lock have no stable ABI yet.
wanted = (
    sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and os.environ.get("REQKIT_NO_EXTENSIONS", "0") in ("", "0")
)

setup(
    ext_modules=[HEAD] if wanted else [],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if wanted else {},
)
