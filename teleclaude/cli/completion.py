"""What could stand at the cursor of a command line that is being typed. Pure: words in, candidates out."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from teleclaude.cli.commands import COMMANDS
from teleclaude.cli.parser import build_parser

SIGNALS = ("INT", "TERM", "KILL", "HUP", "QUIT", "STOP", "CONT", "TSTP", "USR1", "USR2", "WINCH")
_OF_DAEMON = {command.name for command in COMMANDS if command.group == "daemon"}
_TAKES_WORDS = {command.name for command in COMMANDS if command.takes_words}


@dataclass(frozen=True, slots=True)
class Candidate:
    text: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """``source`` says what to offer beside the candidates: names of sessions, or what the shell itself knows.

    ``current`` is the word at the cursor; every candidate begins with it. ``prefix`` stands before each value in it, as
    in ``--state=running``. ``url`` and ``token_file`` are those of the line.
    """

    current: str
    candidates: tuple[Candidate, ...] = ()
    source: Literal["none", "sessions", "files", "directories"] = "none"
    prefix: str = ""
    url: str | None = None
    token_file: str | None = None

    def with_values(self, values: Iterable[Candidate]) -> tuple[Candidate, ...]:
        """The candidates and those of ``values`` that fit."""
        whole = (Candidate(self.prefix + value.text, value.help) for value in values)
        return (*self.candidates, *(value for value in whole if value.text.startswith(self.current)))


def complete(words: Sequence[str]) -> Completion:
    """``words`` are those after the program's name up to the cursor; the last one, perhaps empty, is being typed."""
    *before, current = words or [""]
    line = _Line(build_parser())
    for word in before:
        line.take(word)
    return line.complete(current)


@dataclass
class _Line:
    """How far the words have been understood."""

    parser: argparse.ArgumentParser
    command: str = ""
    values: dict[str, str] = field(default_factory=dict)
    _pending: argparse.Action | None = None
    _positionals: int = 0
    _only_positionals: bool = False
    _lost: bool = False

    def take(self, word: str) -> None:
        if self._pending is not None:
            self.values[self._pending.dest] = word
            self._pending = None
        elif word == "--" and not self._only_positionals:
            self._only_positionals = True
        elif word.startswith("-") and len(word) > 1 and not self._only_positionals:
            self._take_option(word)
        else:
            self._take_positional(word)

    def complete(self, current: str) -> Completion:
        answer = Completion(current, url=self.values.get("url"), token_file=self.values.get("token_file"))
        if self._lost:
            return answer
        if self._only_positionals and self.command in _TAKES_WORDS:
            return replace(answer, source="files")
        if self._pending is not None:
            return self._values(answer, self._pending)
        if current.startswith("-") and not self._only_positionals:
            name, equals, _ = current.partition("=")
            option = self._option(name)
            if equals and option is not None:
                return self._values(replace(answer, prefix=f"{name}="), option)
            return replace(answer, candidates=tuple(_fitting(current, self._options())))
        action = self._positional()
        return answer if action is None else self._values(answer, action)

    def _take_option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = self._option(name)
        if option is None or option.nargs == 0:
            return
        if equals:
            self.values[option.dest] = value
        else:
            self._pending = option

    def _take_positional(self, word: str) -> None:
        action = self._positional()
        if isinstance(action, argparse._SubParsersAction):
            parser = action.choices.get(word)
            self._lost = parser is None
            if parser is not None:
                self.parser, self._positionals = parser, 0
                self.command = self.command or word
        else:
            self._positionals += 1

    def _values(self, answer: Completion, action: argparse.Action) -> Completion:
        if isinstance(action, argparse._SubParsersAction):
            offered: Iterable[Candidate] = self._subcommands(action)
        elif action.choices is not None:
            offered = (Candidate(str(choice)) for choice in action.choices)
        elif action.metavar in ("FILE", "DIR"):
            return replace(answer, source="files" if action.metavar == "FILE" else "directories")
        elif action.metavar == "SIGNAL":
            offered = map(Candidate, SIGNALS)
        elif self._is_session(action):
            return replace(answer, source="sessions")
        else:
            return answer
        return replace(answer, candidates=answer.with_values(offered))

    def _subcommands(self, action: argparse._SubParsersAction[argparse.ArgumentParser]) -> Iterator[Candidate]:
        summaries = {} if self.command else {command.name: command.summary for command in COMMANDS}
        for name, parser in action.choices.items():
            yield Candidate(name, summaries.get(name) or parser.description or "")

    def _is_session(self, action: argparse.Action) -> bool:
        """A required NAME is that of a session that exists, except where the daemon itself is concerned."""
        required = not action.option_strings and action.nargs is None
        return required and action.dest == "name" and self.command not in _OF_DAEMON

    def _option(self, name: str) -> argparse.Action | None:
        return self.parser._option_string_actions.get(name)

    def _options(self) -> Iterator[Candidate]:
        for name, action in self.parser._option_string_actions.items():
            if action.help != argparse.SUPPRESS:
                yield Candidate(name, action.help or "")

    def _positional(self) -> argparse.Action | None:
        actions = self.parser._get_positional_actions()
        if self._positionals < len(actions):
            return actions[self._positionals]
        return actions[-1] if actions and actions[-1].nargs in ("+", "*") else None


def _fitting(current: str, offered: Iterable[Candidate]) -> Iterator[Candidate]:
    return (candidate for candidate in offered if candidate.text.startswith(current))


def split_line(line: str) -> list[str]:
    """The words of ``line`` up to the cursor at its end, as a shell reads them; an open quote is no error."""
    words, word, quote, escaped = [], "", "", False
    inside = False
    for character in line:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\" and quote != "'":
            escaped = inside = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in "'\"":
            quote, inside = character, True
        elif character.isspace():
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word, inside = word + character, True
    return [*words, word]
