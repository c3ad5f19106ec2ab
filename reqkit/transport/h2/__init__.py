"""Exchanges over connections of HTTP/2: several at a time among greenlets, one in blocking code.

An `exchange.Exchange` is lent by a `connection.Multiplexed`, of which there are two kinds: those
that are `shared`, and those that have one user, `alone`.
"""
