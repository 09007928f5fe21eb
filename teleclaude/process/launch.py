"""From what was asked to what will be executed: program, directory and environment, checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teleclaude.errors import ForbiddenError, InvalidError, TooLargeError
from teleclaude.model import ExecutionSpec
from teleclaude.process.group import MARK_VARIABLE
from teleclaude.process.limits import ExecutionPolicy

_OPERATION = "execution.start"
_SPARE_BYTES = 4096
"""What the kernel puts beside arguments and environment: the program's path, the auxiliary vector."""
_STRING_BYTES = 1 + 8
"""A NUL and a pointer."""
_MAX_CHARACTER_BYTES = 4
"""Of UTF-8."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A program that exists, in a directory that exists. ``argv[0]`` stays what was asked for."""

    argv: tuple[str, ...]
    executable: str
    cwd: str
    env: Mapping[str, str]
    stdin: str | bool


def plan_launch(spec: ExecutionSpec, execution_id: str, policy: ExecutionPolicy, base_env: Mapping[str, str]) -> Launch:
    """Resolve and check everything; looks at the file system. The request's environment is laid over ``base_env``.

    Raises ``InvalidError`` for a program, shell or directory that cannot be used, ``ForbiddenError`` for a program that
    is not allowed, ``TooLargeError`` when arguments and environment exceed what the system passes on.
    """
    _check_strings(spec)
    _check_directory(spec.cwd)
    env = {**base_env, "PWD": spec.cwd, **spec.env, MARK_VARIABLE: execution_id}
    if spec.script is not None:
        if policy.allowed is not None:
            raise ForbiddenError("only the programs of executions.allowed may run, so send argv", operation=_OPERATION)
        argv: tuple[str, ...] = (spec.shell or policy.shell, "-c", spec.script)
    else:
        argv = spec.argv or ()
    if not argv or not argv[0]:
        raise InvalidError("the program's name is empty", operation=_OPERATION)
    # While a list of programs is set, the request's own PATH must not decide what a name on it means.
    executable = find_program(argv[0], spec.cwd, base_env if policy.allowed is not None else env)
    _check_allowed(argv[0], executable, policy.allowed, base_env)
    _check_size(argv, env)
    return Launch(argv=argv, executable=executable, cwd=spec.cwd, env=env, stdin=spec.stdin)


def find_program(name: str, cwd: str, env: Mapping[str, str]) -> str:
    """The absolute path of an executable file, as a process in ``cwd`` with ``env`` would find it.

    Raises ``InvalidError``, naming what is wrong.
    """
    if "/" in name:
        candidate = Path(cwd, name)
        if not candidate.is_file():
            raise InvalidError(f"there is no program {name!r}", operation=_OPERATION)
        if not os.access(candidate, os.X_OK):
            raise InvalidError(
                f"{name!r} is not executable; chmod +x it, or name its interpreter", operation=_OPERATION
            )
        return str(candidate)
    for directory in os.get_exec_path(env):
        # As text: a path object for every directory takes longer than all the looks.
        place = f"{directory}/{name}" if directory.startswith("/") else f"{cwd}/{directory}/{name}"
        if os.access(place, os.X_OK) and (candidate := Path(place)).is_file():
            return str(candidate)
    raise InvalidError(f"there is no program {name!r} on the PATH", operation=_OPERATION)


def _check_strings(spec: ExecutionSpec) -> None:
    texts = (*(spec.argv or ()), spec.script or "", spec.shell or "", spec.cwd, *spec.env.keys(), *spec.env.values())
    if any("\0" in text for text in texts):
        raise InvalidError("a NUL character cannot be passed to a program; remove it", operation=_OPERATION)
    if any(not name or "=" in name for name in spec.env):
        raise InvalidError("an environment variable's name is empty or holds '='", operation=_OPERATION)


def _check_directory(cwd: str) -> None:
    directory = Path(cwd)
    if not directory.is_absolute():
        raise InvalidError(f"cwd {cwd!r} is not an absolute path", operation=_OPERATION)
    if not directory.is_dir():
        raise InvalidError(f"cwd {cwd!r} is not an existing directory", operation=_OPERATION)
    if not os.access(directory, os.X_OK):
        raise InvalidError(f"cwd {cwd!r} may not be entered", operation=_OPERATION)


def _check_allowed(name: str, executable: str, allowed: tuple[str, ...] | None, base_env: Mapping[str, str]) -> None:
    if allowed is None:
        return
    for entry in allowed:
        try:
            permitted = find_program(entry, "/", base_env)
        except InvalidError:
            continue
        if _place(permitted) == _place(executable):
            return
    raise ForbiddenError(f"{name!r} is not among the programs of executions.allowed", operation=_OPERATION)


def _place(executable: str) -> Path:
    """The directory is resolved, the last part is not: many names may be links to one multi-call program."""
    path = Path(executable)
    return path.parent.resolve() / path.name


def _check_size(argv: tuple[str, ...], env: Mapping[str, str]) -> None:
    """Each string costs its bytes, a NUL and a pointer: execve(2), "Limits on size of arguments and environment"."""
    limit = os.sysconf("SC_ARG_MAX") - _SPARE_BYTES
    strings = (*argv, *env.keys(), *env.values())
    if sum(map(len, strings)) * _MAX_CHARACTER_BYTES + len(strings) * _STRING_BYTES <= limit:
        return
    strings = (*argv, *(f"{name}={value}" for name, value in env.items()))
    size = sum(len(os.fsencode(text)) + _STRING_BYTES for text in strings)
    if size > limit:
        raise TooLargeError(
            f"arguments and environment take {size} bytes and the system passes on {limit}; use stdin or a file",
            operation=_OPERATION,
        )
