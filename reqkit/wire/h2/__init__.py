"""HTTP/2 on the wire: frames, HPACK, streams, and the connection that joins them. Sans-IO.

Bytes in, facts out: nothing here waits, knows of sockets, or reads a clock. Begin with
`connection`, which a transport feeds with what has arrived and asks for what is to be sent; a
`streams.Stream` is one exchange on it. `floods` keeps what a peer may have us do for nothing.

It takes the grammar of names and values from `h1`.

Source: RFC 9113 (HTTP/2), RFC 7541 (HPACK).
"""
