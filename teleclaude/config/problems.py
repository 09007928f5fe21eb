"""What is wrong with the settings, and where."""

from __future__ import annotations

from dataclasses import dataclass

from teleclaude.errors import InvalidError

KeyPath = tuple[str | int, ...]
"""Where a value stands: ``("agents", "claude", "command", 0)``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``where`` is ``file:line`` or the name of an environment variable."""

    where: str
    path: KeyPath
    what: str
    line: int = 0

    def __str__(self) -> str:
        path = ".".join(str(part) for part in self.path)
        return ": ".join(part for part in (self.where, path, self.what) if part)


class ConfigError(InvalidError):
    """The settings cannot be used; the process ends with ``exit_code`` (EX_CONFIG of sysexits.h)."""

    exit_code = 78

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(str(problem) for problem in sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(self.problems))
