"""HTTP as users speak it: requests, answers, bodies, URLs, settings. No sockets, nothing waits.

An unsent `request.Request` becomes a `prepare.PreparedRequest`, the exact thing that goes out; an
answer's head becomes a `response.Response`, whose `body` is read when it is asked for.

Stands on: wire, cookies, auth, base.
Begin with `request`, `prepare`, `response`. `conversion` is for answers that others made.
"""
