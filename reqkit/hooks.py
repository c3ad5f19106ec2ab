"""Hooks: functions of the user's that see, and may replace, what passes by.

``args`` gets the dictionary of arguments, ``pre_request`` and ``post_request`` the
`PreparedRequest` just before and just after each message is sent, ``response`` the `Response`.
What a hook returns, unless None, takes the place of what it got. A hook that raises, or returns
what cannot take that place, is a `HookWarning`; the request goes on.
"""

from __future__ import annotations

import functools
import traceback
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from .base.deferred import DeferredModule
from .base.redact import redacted
from .base.tracebacks import forget_frames
from .base.warn import warn
from .exceptions import HookWarning

if TYPE_CHECKING:
    import difflib
    import inspect
else:
    inspect = DeferredModule("inspect")
    difflib = DeferredModule("difflib")

__all__ = [
    "HOOKS",
    "Hook",
    "Hooks",
    "default_hooks",
    "dispatch_hook",
    "merge_hooks",
    "takes_keywords",
]

Hook = Callable[..., Any]

#: The names, in the order in which they run.
HOOKS: Final = ("args", "pre_request", "post_request", "response")

#: Of a function's code: it has ``**kwargs`` (`inspect.CO_VARKEYWORDS`).
_HAS_KEYWORDS: Final = 0x08


def check_name(name: object) -> str:
    """Return the name of a hook.

    Raises:
        ValueError: there is none of that name; the text lists the known ones.
    """
    if name in HOOKS:
        return name
    near = difflib.get_close_matches(str(name), HOOKS, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no hook named {name!r}: the hooks are {', '.join(HOOKS)}{hint}")


def _mapping(given: Any) -> Mapping[str, Any]:
    """Return the hooks that were given, once they are known to be a dictionary."""
    if isinstance(given, Mapping):
        return given
    raise ValueError(
        f"hooks is a {type(given).__name__}: expected a dictionary of a hook's name to"
        f" a function or a list of them; the hooks are {', '.join(HOOKS)}"
    )


def _as_list(name: str, given: Any) -> list[Hook]:
    if given is None:
        return []
    if callable(given):
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        hooks = list(given)
        for hook in hooks:
            if not callable(hook):
                raise ValueError(
                    f"hook {name!r}: {redacted(hook)} cannot be called; expected a function"
                )
        return hooks
    raise ValueError(
        f"hook {name!r}: {redacted(given)} cannot be called; expected a function or a list"
    )


class Hooks(dict[str, list[Hook]]):
    """A list of hooks for each known name; any other name is a `ValueError`.

    Attributes:
        cleared: the names that were set to nothing: a call's leave the session's hooks out.
    """

    __slots__ = ("cleared",)

    cleared: frozenset[str]

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        super().__init__(args=[], pre_request=[], post_request=[], response=[])
        self.cleared = frozenset()
        if given is not None:
            self.update(_mapping(given))

    def __setitem__(self, name: str, hooks: Any) -> None:
        functions = _as_list(check_name(name), hooks)
        dict.__setitem__(self, name, functions)
        if not functions:
            self.cleared |= {name}

    def __missing__(self, name: str) -> list[Hook]:
        check_name(name)
        hooks: list[Hook] = []
        dict.__setitem__(self, name, hooks)
        return hooks

    def update(self, *others: Any, **named: Any) -> None:
        """Set several at once, with the checks of setting one."""
        for one in (*others, named):
            # One of ours has all names: those that nobody set say nothing.
            cleared = one.cleared if isinstance(one, Hooks) else None
            for name, hooks in dict(one).items():
                if hooks or cleared is None or name in cleared:
                    self[name] = hooks

    def setdefault(self, name: str, default: Any = None) -> list[Hook]:
        """Return the hooks of that name, as `dict.setdefault` does."""
        if name not in self:
            self[name] = default
        return self[name]

    def copy(self) -> Hooks:
        """Return a copy whose lists are its own."""
        return Hooks(self)

    def register(self, name: str, hook: Any) -> None:
        """Add a hook, or several."""
        self[check_name(name)].extend(_as_list(name, hook))

    def deregister(self, name: str, hook: Hook) -> bool:
        """Remove a hook; tell whether it was there."""
        hooks = self[check_name(name)]
        if hook not in hooks:
            return False
        hooks.remove(hook)
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {name: hooks for name, hooks in self.items() if hooks or name in self.cleared}
        return Hooks, (kept,)


def default_hooks() -> Hooks:
    """Return a dictionary with an empty list for each hook."""
    return Hooks()


def merge_hooks(own: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> Hooks | None:
    """Merge a session's hooks with a call's: for each name the call's take their place.

    Returns:
        None where there is no hook at all, so that nothing is spent on the usual request.
    """
    if given is not None:
        merged = Hooks(own)
        merged.update(_mapping(given))
        return merged if any(merged.values()) else None
    if own is not None and any(own.values()):
        return Hooks(own)
    return None


#: Whether hooks that are no plain functions have ``**kwargs``: what such a one holds goes with it.
_known: weakref.WeakKeyDictionary[Hook, bool] = weakref.WeakKeyDictionary()


def _inspect(hook: Hook) -> bool:
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):  # some callables of C have no signature
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def takes_keywords(hook: Hook) -> bool:
    """Tell whether a hook has ``**kwargs``."""
    function = getattr(hook, "__func__", hook)
    # One that stands for another (`functools.wraps`) has that one's signature.
    if type(function) is FunctionType and not function.__dict__:
        return bool(function.__code__.co_flags & _HAS_KEYWORDS)
    try:
        found = _known.get(function)
        if found is None:
            found = _known[function] = _inspect(function)
    except TypeError:  # not hashable, or nothing that can be held weakly
        return _inspect(function)
    return found


def dispatch_hook(
    name: str,
    hooks: Mapping[str, Any] | Hook | Iterable[Hook] | None,
    data: Any,
    errors: list[Exception] | None = None,
    /,
    **keywords: Any,
) -> Any:
    """Run hooks one after the other and return what they leave.

    Runs the user's code, which may block or switch greenlets.

    Args:
        name: the hook's name, for the warning.
        hooks: what to call, in this order; or a dictionary that has it by the name.
        data: what the first one gets.
        errors: a list that takes what hooks raise.
        **keywords: given to hooks that take ``**kwargs``.

    Returns:
        ``data``, or what the last hook that returned something put in its place.
    """
    if not hooks:
        return data
    if isinstance(hooks, Mapping) or callable(hooks):  # as requests' function of this name takes
        hooks = _as_list(name, hooks.get(name) if isinstance(hooks, Mapping) else hooks)
    for hook in tuple(hooks):
        try:
            result = hook(data, **keywords) if keywords and takes_keywords(hook) else hook(data)
        except Exception as error:  # a hook may raise anything
            try:
                warn_of(name, hook, error)
            finally:
                if errors is not None:
                    forget_frames(error, tell=True)
                    errors.append(error)
        else:
            if result is None:
                continue
            expected = _unfit(name, data, result)
            if expected is None:
                data = result
            else:
                warning = _refusal(name, hook, result, expected)
                if errors is not None:
                    errors.append(warning)
                warn(warning, about=_unwrapped(hook))
    return data


def _unfit(name: str, data: Any, result: Any) -> str | None:
    """Return what is expected of a hook, where its result cannot be used; None where it can.

    A response's place may be taken by anything: it is the caller who gets it.
    """
    if name == "args":
        return None if isinstance(result, Mapping) else "a dictionary of arguments"
    if name == "response" or isinstance(result, type(data)) or isinstance(data, type(result)):
        return None
    return f"a {type(data).__name__}"


def _unwrapped(hook: Hook) -> Hook:
    while isinstance(hook, functools.partial):
        hook = hook.func
    return hook


def _name_of(hook: Hook) -> str:
    """Return a hook's name. Not its repr, which may show what it is made of."""
    return getattr(hook, "__qualname__", None) or type(hook).__qualname__


def warn_of(name: str, hook: Hook, error: BaseException) -> None:
    """Give the warning that says that a hook raised."""
    hook = _unwrapped(hook)
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text = f"the {name} hook {_name_of(hook)} raised; the request goes on\n{trace}"
    warn(HookWarning(text), about=hook)


def _refusal(name: str, hook: Hook, result: Any, expected: str) -> HookWarning:
    return HookWarning(
        f"the {name} hook {_name_of(_unwrapped(hook))} returned a {type(result).__name__}:"
        f" expected {expected}, or None; it is not used, and the request goes on"
    )
