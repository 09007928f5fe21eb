"""The one namespace of a session, its history, and what the API may do to it. The dict is never replaced or emptied."""

from __future__ import annotations

import keyword
from typing import Any

ENGINE_INTERNALS = frozenset(
    {
        *("_", "__", "___", "In", "Out"),
        *("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__", "__file__", "__cached__"),
        *("__annotations__", "__annotate__", "__conditional_annotations__", "__warningregistry__"),
    }
)
"""Names that belong to the engine or the interpreter: the API neither sets, lists nor clears them."""

HISTORY = 1000
"""How many of the latest cells keep their source in ``In`` and their value in ``Out``."""

_PLAIN = (type(None), bool, int, float, str, list, dict)

_MISSING = object()


class Namespace:
    """``names`` is the dict that every cell runs in."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.count = 0
        self._inputs: list[str] = [""]
        self._outputs: dict[int, Any] = {}
        self._latest: tuple[Any, Any, Any] = (None, None, None)
        for name in ("_", "__", "___"):
            names.setdefault(name, None)
        self._expose()

    def begin(self, source: str) -> int:
        """Count a cell and keep its source; answers its number. ``In`` and ``Out`` are ours again from here on."""
        self.count += 1
        self._inputs.append(source)
        if self.count > HISTORY:
            self._inputs[self.count - HISTORY] = ""
        self._expose()
        return self.count

    def remember(self, value: Any) -> None:
        """Put an expression's value into the history; None leaves no trace there."""
        if value is None:
            return
        self._latest = (value, *self._latest[:2])
        self.names["_"], self.names["__"], self.names["___"] = self._latest
        self._outputs[self.count] = value
        while len(self._outputs) > HISTORY:
            del self._outputs[next(iter(self._outputs))]

    def user_names(self) -> list[str]:
        """In the order in which they came. Keys that are no strings, which code can put there, are left alone."""
        return [name for name in list(self.names) if type(name) is str and name not in ENGINE_INTERNALS]

    def update(self, values: dict[str, Any], strategy: str) -> tuple[list[str], list[str]]:
        """Merge; answers the names that were set and those that were not.

        ``overwrite`` replaces, ``preserve`` keeps what is there. ``smart`` sets a new name and replaces plain data
        (None, bool, int, float, str, list, dict), but keeps what only code can make: functions, modules, objects.
        Internals and what is no identifier are skipped. Raises ``ValueError`` for another strategy.
        """
        if strategy not in ("overwrite", "preserve", "smart"):
            raise ValueError(f"there is no strategy {strategy!r}; take overwrite, preserve or smart")
        updated, skipped = [], []
        for name, value in values.items():
            if self._may_set(name, strategy):
                self.names[name] = value
                updated.append(name)
            else:
                skipped.append(name)
        return updated, skipped

    def clear(self) -> list[str]:
        """Remove the user's names; answers which."""
        cleared = self.user_names()
        for name in cleared:
            self.names.pop(name, None)
        return cleared

    def _may_set(self, name: str, strategy: str) -> bool:
        if name in ENGINE_INTERNALS or not name.isidentifier() or keyword.iskeyword(name):
            return False
        present = self.names.get(name, _MISSING)
        if strategy == "overwrite" or present is _MISSING:
            return True
        return strategy == "smart" and type(present) in _PLAIN

    def _expose(self) -> None:
        self.names["In"] = self._inputs
        self.names["Out"] = self._outputs
