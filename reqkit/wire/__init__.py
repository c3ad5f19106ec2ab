"""HTTP/1.1 on the wire: heads, framing, and the connection that uses them.

`head` and `framing` are sans-IO: bytes in, facts out. They neither wait nor know of sockets.
"""
