"""The peers' clients: each a module that is run as a process, with its job as an argument.

`harness.py` reads the job, does what all have in common, and prints what it came to.
"""
