"""What the command line loads: little, so that it answers at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"aiohttp", "pydantic", "structlog", "asyncio", "yaml", "sqlite3", "orjson", "rich", "re2", "libtmux"}
OWN = ("teleclaude.cli", "teleclaude.paths", "teleclaude.errors", "teleclaude.model", "teleclaude.__main__")

SCRIPT = """
import sys
from teleclaude.__main__ import main
sys.argv[1:] = {argv!r}
code = main()
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def modules_of(*argv: str) -> tuple[int, set[str]]:
    script = SCRIPT.format(argv=list(argv))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    code, *modules = done.stderr.splitlines()[-1].split()
    return int(code), set(modules)


@pytest.mark.parametrize(("argv", "code"), [(["ls"], 69), (["logs", "-f", "web"], 69), (["send", "web", "x"], 69)])
def test_nothing_heavy_is_imported(argv: list[str], code: int) -> None:
    ended, modules = modules_of(*argv)
    assert ended == code
    assert not {module.partition(".")[0] for module in modules} & HEAVY
    ours = {module for module in modules if module.startswith("teleclaude.")}
    assert {module for module in ours if not module.startswith(OWN)} == set()


def test_help_does_without_the_client() -> None:
    ended, modules = modules_of("--help")
    assert ended == 0
    assert "http.client" not in modules
