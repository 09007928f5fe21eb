"""What runs inside a Python session's process: standard library only, any interpreter from 3.9 on.

These modules reach the process as text, under another package name; see ``teleclaude.python.source``.
"""
