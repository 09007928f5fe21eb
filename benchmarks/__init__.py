"""What is fast and how fast, measured against something in the same run. ``./run bench`` prints the table.

A benchmark is a module here with ``async def measure() -> list[Row]``. Absolute times depend on the computer, so
targets are ratios wherever they can be.
"""
