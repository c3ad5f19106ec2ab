"""TLS: what a user may say about it, the contexts that follow, and the stream that speaks it.

Begin with `handshake.secure`.
"""
