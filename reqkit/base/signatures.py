"""Signatures that list every keyword, of functions that take them by ``**keywords``.

The keywords and their types are written down once, in a TypedDict, for type checkers.
`explicit_signature`
has `inspect`, ``help()`` and interactive editors see them as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["explicit_signature"]

F = TypeVar("F", bound=Callable[..., Any])


class _ExplicitSignature:
    """Stands behind a function, as its ``__wrapped__``: the signature is made when asked for."""

    def __init__(
        self,
        function: Any,
        more: dict[str, Any],
        keywords: tuple[Any, ...],
        defaults: dict[str, Any],
    ) -> None:
        self._function = function
        self._defaults = defaults
        self._more = more
        self._keywords = keywords

    @property
    def __signature__(self) -> Any:
        import inspect

        kind = inspect.Parameter
        function = self._function
        code = function.__code__
        defaults = function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        known = {**function.__annotations__, **self._more}
        first = len(names) - len(defaults)
        parameters = [
            kind(
                name,
                kind.POSITIONAL_OR_KEYWORD,
                default=defaults[index - first] if index >= first else kind.empty,
                annotation=known.get(name, kind.empty),
            )
            for index, name in enumerate(names)
        ]
        listed = {name: known[name] for name in only if name in known}
        for name, annotation in self._more.items():
            if name not in names and name != "return":
                listed.setdefault(name, annotation)
        for shape in self._keywords:
            for name, annotation in shape.__annotations__.items():
                if name not in names:
                    listed.setdefault(name, annotation)
        only_defaults = {**self._defaults, **(function.__kwdefaults__ or {})}
        for name, annotation in listed.items():
            shown = getattr(annotation, "__forward_arg__", annotation)
            parameters.append(
                kind(name, kind.KEYWORD_ONLY, default=only_defaults.get(name), annotation=shown)
            )
        return inspect.Signature(parameters, return_annotation=known.get("return", kind.empty))


def explicit_signature(
    *keywords: Any, defaults: dict[str, Any] | None = None, **more: str
) -> Callable[[F], F]:
    """Have a function's signature list the keywords that it takes by ``**keywords``.

    Args:
        *keywords: the TypedDicts that have them.
        defaults: of those whose default is not None.
        **more: further ones, with their types; ``returns`` is what comes back.
    """
    if "returns" in more:
        more["return"] = more.pop("returns")

    def spell(function: F) -> F:
        function.__wrapped__ = _ExplicitSignature(function, more, keywords, defaults or {})  # type: ignore[attr-defined]
        return function

    return spell
