"""HTTP/1.1: heads and framing, which are pure, and one connection, which joins them to a stream."""
