"""The worker's source as one text, and the line that starts it in any interpreter.

The text goes through the worker's own socket: no directory of ours comes near its module path, and the command line
stays short. The modules are made under a package name of their own, as the user may have a ``teleclaude`` installed.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

PACKAGE = "_teleclaude_worker"

_MODULES = (
    *("frames", "analysis", "failures", "namespace", "render", "snapshots", "interrupts", "link", "capture", "asking"),
    *("loop", "engine", "main"),
)
"""In the order of their imports of each other."""

BOOTSTRAP = f"""\
import sys
if sys.version_info < (3, 9):
    sys.exit("Python 3.9 or newer is needed, and this is " + sys.version.split()[0])
if sys.path[:1] == [""]:
    del sys.path[0]
import io, json, types
def boot(descriptor):
    with io.FileIO(descriptor, closefd=False) as socket:
        def take(size):
            data = b""
            while len(data) < size:
                data += socket.read(size - len(data)) or sys.exit(1)
            return data
        sources = json.loads(take(int.from_bytes(take(4), "big")))
    sys.modules[{PACKAGE!r}] = package = types.ModuleType({PACKAGE!r})
    package.__path__ = []
    for name, text in sources:
        module = types.ModuleType(package.__name__ + "." + name)
        sys.modules[module.__name__] = module
        setattr(package, name, module)
        exec(compile(text, "<teleclaude worker>/" + name + ".py", "exec"), module.__dict__)
    return module.main
boot(int(sys.argv[1]))(int(sys.argv[1]), int(sys.argv[2]))
"""
"""For ``python -c``, with the numbers of socket and lifeline as its arguments. The standard library is never looked for
in the working directory; the session puts that back where an interactive interpreter has it."""


@cache
def boot_message() -> bytes:
    """What the bootstrap reads first: length and text of all modules. Built once; reads our own package."""
    folder = files("teleclaude.python.worker")
    sources = [[name, _renamed(folder.joinpath(f"{name}.py").read_text("utf-8"))] for name in _MODULES]
    body = json.dumps(sources).encode("ascii")
    return len(body).to_bytes(4, "big") + body


def _renamed(text: str) -> str:
    return text.replace("teleclaude.python.worker", PACKAGE)
