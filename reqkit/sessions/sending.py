"""One request through a session: its message, the chain of messages, how it ended, its hooks."""

from __future__ import annotations

from typing import Any, Final

from ..base.redact import redacted
from ..exceptions import RequestException
from ..hooks import dispatch_hook
from ..message.keywords import unknown
from ..message.prepare import PreparedRequest
from ..message.request import UnsentRequest
from ..message.response import Response
from ..message.urls import without_secrets
from ..timeouts import Deadline
from .chain import CallConnection, Chain, ChainedSession
from .outcome import Outcome, failed_response
from .redirects import forsake

__all__ = ["Sending"]

_SEND_KEYWORDS: Final = (
    "timeout", "verify", "cert", "proxies", "stream", "prefetch", "allow_redirects", "config",
)  # fmt: skip


class Sending(ChainedSession):
    """What a session does with a request."""

    def prepare_request(self, request: UnsentRequest) -> PreparedRequest:
        """Return the exact thing that would be sent for a request. Sends nothing.

        Raises:
            TypeError: it is no request.
            RequestException: the URL, a header or another argument is wrong.
        """
        if not isinstance(request, UnsentRequest):
            raise TypeError(
                f"there is no request to prepare in {redacted(request)}: expected a Request"
            )
        return self._prepare(request, self._settings(request.config), to_send=False)

    # -- from the message to the answer -----------------------------------------------------

    def perform(self, request: UnsentRequest, prefetch: bool | None = None) -> Response:
        """Send an unsent request through this session, and keep the answer in it. Blocks.

        Args:
            request: the request; its settings come before the session's.
            prefetch: read the body before this returns, whatever the request says.

        Raises:
            RequestException: as `reqkit.request` does; none in safe mode.
        """
        outcome = Outcome(request)
        self.attempt(outcome, prefetch)
        return self._ended(outcome)

    def attempt(
        self, outcome: Outcome, prefetch: bool | None = None, deadline: Deadline | None = None
    ) -> None:
        """Send a request, and put into its outcome how it ended; run no response hook. Blocks.

        Args:
            outcome: of the request; may be attempted again.
            prefetch: read the body, whatever the request says.
            deadline: of an exchange that this is a part of.
        """
        request = outcome.request
        outcome.response = outcome.error = None
        chain: Chain | None = None
        try:
            config = self._settings(request._arguments.config)
            outcome.safe = config.safe_mode
            connection = self._connection_for(request, config)
            chain = outcome.chain = self._chain_class(connection, request, prefetch, deadline)
            chain.errors = outcome.errors
            if outcome.scheduler is not None:
                chain.gate = outcome
                if chain.policy is not None:
                    chain.policy.retries = None
            response = outcome.response = self._exchange(outcome, chain)
            if config.danger_mode:
                response.raise_for_status()
        except RequestException as error:
            prepared = chain.prepared if chain is not None else None
            _name(error, prepared if prepared is not None else request)
            outcome.error = error
        except Exception as error:  # of hooks, auth or an adapter of the user's
            outcome.error = error
        finally:
            if chain is not None:
                chain.gate = None  # the outcome has the chain

    def _exchange(self, outcome: Outcome, chain: Chain) -> Response:
        """Make the message of a request, and send it and what follows. Blocks."""
        options, policy = chain.options, chain.policy
        prepared = self._prepare(outcome.request, options.config, policy=policy)
        chain.prepared = prepared
        prepared._attempt = 1 + outcome.retries
        return chain.run(prepared)

    def _ended(self, outcome: Outcome) -> Response:
        """Return what the response hooks leave of an outcome, or raise its error after them.

        Raises:
            RequestException: the request failed; none in safe mode.
        """
        error, response = outcome.error, outcome.response
        try:
            if error is None or (outcome.safe and isinstance(error, RequestException)):
                outcome.as_failure = True
                return self.conclude(outcome)
            if response is not None:  # in danger mode: there is an answer for the hooks
                self.conclude(outcome)
        except BaseException as stop:  # of a hook
            if response is not None:
                forsake(response, stop)
            raise
        raise error

    def conclude(self, outcome: Outcome) -> Response:
        """Run the response hooks of an outcome, once, and return what they leave.

        A failed request's response carries the error. Runs the user's code. Where that was
        stopped, a further call runs the hooks that are left.
        """
        request = outcome.request
        chain = outcome.chain
        response = outcome.response
        if outcome.error is not None and (response is None or outcome.as_failure):
            response = failed_response(request, outcome.error, chain)
        assert response is not None
        before = outcome.errors if chain is None else chain.errors
        if before:
            response.hook_errors.extend(before)
        request._response = response
        prepared = chain.prepared if chain is not None else None
        pending = outcome.pending
        if pending is None:
            hooks = prepared._hooks if prepared is not None else self._hooks_for(request)
            if hooks is None or not hooks["response"]:
                return response
            pending = outcome.pending = list(hooks["response"])
            credentials = prepared._credentials if prepared is not None else None
            auths = None if credentials is None else credentials.auth_hooks
            if auths:
                pending[:] = [hook for hook in pending if hook not in auths]
        keywords = chain.keywords() if chain is not None else {}
        errors: list[Exception] = []
        result: Any = response
        while pending:
            result = dispatch_hook("response", (pending.pop(0),), result, errors, **keywords)
        if errors:
            kept = result if isinstance(result, Response) else response
            kept.hook_errors.extend(errors)
        request._response = result
        return result  # type: ignore[no-any-return]

    def _chain_to_send(
        self, prepared: PreparedRequest, options: CallConnection, given: UnsentRequest
    ) -> Chain:
        """Make what sends a prepared request under some options."""
        return self._chain_class(options, given)

    def send(self, request: PreparedRequest | Any, **keywords: Any) -> Response:
        """Send a prepared request. Blocks.

        Args:
            request: what `prepare_request` made.
            **keywords: ``timeout verify cert proxies stream prefetch allow_redirects config``;
                what is not given is the session's.

        Raises:
            ValueError: it is not a prepared request.
            RequestException: as `reqkit.request` does.
        """
        if not isinstance(request, PreparedRequest):
            hint = (
                "; use session.prepare_request(request)"
                if isinstance(request, UnsentRequest)
                else ""
            )
            raise ValueError(f"You can only send PreparedRequests, not {redacted(request)}{hint}")
        for name in keywords:
            if name not in _SEND_KEYWORDS:
                raise unknown("send", [name], _SEND_KEYWORDS)
        given = UnsentRequest(request.method, request.url, **keywords)
        outcome = Outcome(given)
        chain: Chain | None = None
        try:
            config = self._settings(given.config)
            outcome.safe = config.safe_mode
            options = self._connection_for(given, config)
            chain = outcome.chain = self._chain_to_send(request, options, given)
            chain.prepared = request
            outcome.response = chain.run(request)
            if config.danger_mode:
                outcome.response.raise_for_status()
        except RequestException as error:
            _name(error, request)
            outcome.error = error
        return self._ended(outcome)


def _name(error: RequestException, asked: PreparedRequest | UnsentRequest) -> None:
    """Have an error tell which request it is of, where the floor that raised it did not know."""
    if error.request is None:
        error.request = asked
        if isinstance(asked.url, str):
            error._about(without_secrets(asked.url))
