"""What people, `inspect` and editors see of the functions."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.message.keywords import KEYWORDS
from reqkit.sessions.verbs import Verbs

VERBS = ("get", "options", "head", "post", "put", "patch", "delete")


@pytest.mark.parametrize("name", [*VERBS, "request"])
def test_a_function_lists_its_keywords(name: str) -> None:
    for function in (getattr(reqkit, name), getattr(reqkit.Session(), name)):
        parameters = inspect.signature(function).parameters
        expected = set(KEYWORDS)
        if name == "request" and function != reqkit.request:
            expected -= {"session"}
        assert expected <= set(parameters), expected - set(parameters)
        kinds = {parameter.kind for parameter in parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds or name == "request"
        assert all(
            parameter.annotation is not inspect.Parameter.empty for parameter in parameters.values()
        )


def test_positions_are_those_of_the_functions() -> None:
    def positional(function: Any) -> list[str]:
        return [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]

    assert positional(reqkit.get) == ["url", "params"]
    assert positional(reqkit.post) == ["url", "data", "json"]
    assert positional(reqkit.Session.put) == ["self", "url", "data"]
    assert positional(Verbs.delete) == ["self", "url"]


def test_sessions_list_theirs() -> None:
    of_class = inspect.signature(reqkit.Session).parameters
    of_function = inspect.signature(reqkit.session).parameters
    assert set(of_class) == set(of_function)
    assert of_class.keys() >= {"headers", "base_url", "allow_address", "config"}


def test_defaults_are_the_ones_that_count() -> None:
    parameters = inspect.signature(reqkit.get).parameters
    assert parameters["return_response"].default is True
    assert repr(parameters["timeout"].default) == "UNSET"
    assert parameters["headers"].default is None


def test_dir_is_what_there_is_for_users() -> None:
    import reqkit_async

    assert dir(reqkit) == sorted(reqkit.__all__)
    assert dir(reqkit_async) == sorted(reqkit_async.__all__)


@pytest.mark.parametrize("name", ["map", "imap", "imap_unordered", "imap_enumerated"])
def test_batches_list_theirs(name: str) -> None:
    shared = {"prefetch", "exception_handler", "timeout", "gtimeout", "stream", "raise_errors",
              "progress", "total"}  # fmt: skip
    of_function = inspect.signature(getattr(reqkit_async, name)).parameters
    of_method = inspect.signature(getattr(reqkit_async.Pool, name)).parameters
    assert set(of_method) == {"self", "requests"} | shared
    of_pool = {"size", "per_host", "rate", "delay", "retries", "session", "executor", "workers"}
    assert set(of_function) == {"requests"} | shared | of_pool
    assert of_function["raise_errors"].default is False
    assert "retries: " in str(inspect.signature(getattr(reqkit_async, name)))
