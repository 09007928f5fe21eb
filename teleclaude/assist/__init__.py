"""Programs of their own beside the daemon, each started by the command of its name: ``doctor``, ``init`` and ``demo``.

They take their time and import what they need, which the command line, quick as it is, must not: so it starts
``python -m teleclaude.assist NAME …`` in its own place.
"""
