"""Fuzzing: what must hold for any bytes that a server may send, and what drives it."""
