"""``python -m benchmarks [NAME …]``: measures and prints one table; exit code 1 when a target was missed."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from benchmarks.frame import Measure, Row, find, table
from teleclaude.log import configure_logging


def main(argv: Sequence[str]) -> int:
    known = find()
    parser = argparse.ArgumentParser(prog="./run bench", description="Measures and prints one table.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(known)}; default: all")
    names = parser.parse_args(argv).names or list(known)
    if unknown := set(names) - set(known):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    configure_logging("error")
    rows = [row for name in names for row in asyncio.run(_measure(name, known[name]))]
    sys.stdout.write(table(rows) + "\n")
    return 1 if any(row.ok is False for row in rows) else 0


async def _measure(name: str, measure: Measure) -> list[Row]:
    sys.stderr.write(f"measuring {name} …\n")
    return await measure()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
