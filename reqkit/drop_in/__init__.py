"""Functions that programs written for ``requests`` take from its ``utils``, in their old shapes.

reqkit itself uses none of them: each is a small step from what the floors below do to the
arguments and results that such programs expect. `reqkit.utils` hands them on.

Stands on: message, base.
Begin with the topic: `urls`, `fields`, `proxies`, `bodies`.
"""
