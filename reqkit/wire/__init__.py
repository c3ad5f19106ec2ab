"""The wire: bytes in, facts out. One folder for each version of HTTP; `h1` is HTTP/1.1.

Stands on nothing of ours but the ground.
Begin with `h1.head` and `h1.framing`.
"""
