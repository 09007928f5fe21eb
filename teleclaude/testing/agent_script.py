"""What the fake agent does with a prompt, and where it keeps its conversations."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rule:
    """What one turn does; see the module's text. ``work_ms`` is in milliseconds."""

    when: str = ""
    work_ms: int = 50
    say: str | None = None
    ask: str | None = None
    exit: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    trap_ms: int = 120
    rules: tuple[Rule, ...] = ()

    def rule_for(self, prompt: str) -> Rule:
        return next((rule for rule in self.rules if rule.when in prompt), Rule())


def load_script(path: Path) -> Script:
    """Raises ``TypeError`` for a field that is none, ``ValueError`` for what is not JSON."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    rules = tuple(Rule(**row) for row in fields.pop("rules", ()))
    return Script(rules=rules, **fields)


class Conversation:
    """The prompts under one id, in the file where one is given."""

    def __init__(self, record: Path | None, resume: str | None, new: str | None = None) -> None:
        """``new`` is the id of one that begins; without it one is made up."""
        self.id = resume or new or str(uuid.uuid4())
        self._record = record
        self.prompts = list(self._recorded()) if resume else []

    def add(self, prompt: str) -> None:
        self.prompts.append(prompt)
        if self._record is None:
            return
        row = {"conversation_id": self.id, "number": len(self.prompts), "prompt": prompt}
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _recorded(self) -> Iterator[str]:
        if self._record is None or not self._record.exists():
            return
        for line in self._record.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["conversation_id"] == self.id:
                yield row["prompt"]
