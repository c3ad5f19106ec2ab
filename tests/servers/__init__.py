"""Servers for the tests, all on loopback and all on a port that the system chooses.

- `scripted`: raw sockets, for what no sane server does, and for counting what arrived.
- `counting`: answers only when enough requests are in flight at once.
- `town`: many hosts on the usual ports, played by two scripted servers.
- `wsgi`: a WSGI application (httpbin) with kept connections, over http and https.
- `tls`: an authority and the certificates it issues, good and bad.
- `proxies`: HTTP and SOCKS proxies, each in a process of its own.
- `daemons`: what the distribution ships: nginx, apache2, squid, microsocks, dante.
"""
