"""What a body means: its content codings, its characters, its lines. No sockets here."""
