"""How programs ask: the rules by which a prompt is known on a screen. Data only; ``prompts`` applies them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from teleclaude.model import PromptKind

YES = "Yes"
NO = "No"
ENTER = ("Enter",)


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is typed and submitted; an empty one only submits. ``default`` says that Enter alone means it."""

    label: str
    text: str
    default: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.text, *ENTER)


@dataclass(frozen=True, slots=True)
class LineRule:
    """A prompt on the last line of the screen, with the cursor behind it.

    ``pattern`` is searched in that line, without spaces at its end. ``above`` must occur in the lines just above, where
    it is given. Without ``answers`` they follow from the groups of the pattern: ``yes`` and ``no`` are the words to
    type, ``letters`` are single letters to choose from, ``default`` is taken by Enter.
    """

    kind: PromptKind
    pattern: re.Pattern[str]
    answers: tuple[Answer, ...] = ()
    above: re.Pattern[str] | None = None


def _rule(kind: PromptKind, pattern: str, *answers: Answer, above: str | None = None) -> LineRule:
    return LineRule(kind, re.compile(pattern), answers, re.compile(above) if above else None)


_YES_NO = (Answer(YES, "yes"), Answer(NO, "no"))

LINE_RULES = (
    # ssh to a host that is new, and again after an answer it did not take
    _rule(PromptKind.CONFIRM, r"^Please type 'yes', 'no' or the fingerprint:$", *_YES_NO),
    # [Y/n], (y/N)?, (yes/no), (yes/no/[fingerprint])?, (y/n [n]), of apt, pip, ssh, gh and most scripts
    _rule(
        PromptKind.CONFIRM,
        r"(?i)[\[(]\s*(?P<yes>y(?:es)?)\s*[/|,]\s*(?P<no>n(?:o)?)(?:\s*/\s*\[fingerprint\])?"
        r"(?:\s+\[[yn]\])?\s*[\])]\s*(?:\[[yn]\])?\s*[?:›>]*$",
    ),
    # git add -p and its kin: [y,n,q,a,d,j,J,g,/,e,?]?
    _rule(PromptKind.CONFIRM, r"\[(?P<letters>[A-Za-z](?:,(?:[A-Za-z]|[?/])){2,})\]\s*[?:]?$"),
    # dpkg about a changed configuration file: (Y/I/N/O/D/Z) [default=N] ?
    _rule(
        PromptKind.CONFIRM,
        r"\((?P<letters>[A-Z](?:/[A-Z]){2,})\)\s*(?:\[default=(?P<default>[A-Z])\])?\s*\?$",
    ),
    # npx and npm init: an answer in parentheses is what Enter gives
    _rule(PromptKind.CONFIRM, r"\?\s*\((?:yes|y)\)$", Answer(YES, "", default=True), Answer(NO, "no")),
    # e2fsck: Fix<y>?
    _rule(PromptKind.CONFIRM, r"<y>\?(?:\s*yes)?$", Answer(YES, "y", default=True), Answer(NO, "n")),
    # rm, mv and cp with -i
    _rule(PromptKind.CONFIRM, r"^(?:/\S*/)?(?:rm|mv|cp|ln|unlink): .*\?$", Answer(YES, "y"), Answer(NO, "n")),
    _rule(
        PromptKind.CONFIRM,
        r"^\s*Enter a value:$",
        *_YES_NO,
        above=r"Only 'yes' will be accepted",  # terraform
    ),
    _rule(
        PromptKind.CONFIRM,
        r"(?i)\b(?:press|hit|strike)\b.{0,20}\b(?:any key|enter|return)\b"
        r".{0,40}?(?:continue|proceed|exit|quit|go on)\W*$",
        Answer("Continue", "", default=True),
    ),
    _rule(
        PromptKind.SECRET,
        r"(?i)(?:^|[^a-z])(?:password|pass ?phrase|passcode|passwort|PIN|verification code|one-time (?:code|password))"
        r"(?:\s*\([^)]*\))?(?:\s+(?:for|of|again|once more)\b.{0,120})?\s*:$",
    ),
    _rule(PromptKind.TEXT, r"^Username for '[^']+':$"),
    _rule(PromptKind.TEXT, r"^[\w.-]* ?login:$"),
    # update-alternatives
    _rule(
        PromptKind.TEXT,
        r"^Press <enter> to keep the current choice\[\*\], or type selection number:$",
        Answer("Keep the current choice", "", default=True),
    ),
    # npm init
    _rule(
        PromptKind.TEXT,
        r"^(?:package name|version|description|entry point|test command|git repository|keywords|author|license|type):"
        r"(?:\s\((?P<default>[^)]*)\))?$",
    ),
    _rule(PromptKind.TEXT, r"(?i)^(?:please\s+)?(?:enter|type|input)\b[^:]{1,80}:$"),
)
"""In the order in which they are tried."""

NUMBERED = re.compile(
    r"^(?P<indent>\s*)(?:(?P<mark>[❯›>▶►➤→●◉✓])\s*|[○◯]\s+)?"
    r"(?:(?P<number>\d{1,2})[.)]|\[(?P<bracket>\d{1,2})\])\s+"
    r"(?P<label>\S.*)$"
)
"""A line of a menu that is chosen by its number; ``mark`` shows the one that Enter would take."""

POINTED = re.compile(r"^(?P<indent>\s*)(?P<mark>[❯›>▶►➤●◉])\s+(?P<label>\S.*)$")
UNPOINTED = re.compile(r"^(?P<indent>\s*)(?:[○◯]\s+)?(?P<label>\S.*)$")
ASKED = re.compile(r"^\s*[?◆]\s+\S")
"""The head of a menu without numbers, as the usual libraries for questions draw it."""

CUES = (
    re.compile(r"^#\?$"),  # select in shells
    re.compile(
        r"(?i)\b(?:choice|choose|select|selection|option|number|pick|which)\b[^:?]{0,40}"
        r"(?:\[[^\]]*\]|\([^)]*\))?\s*(?:\[[^\]]*\])?\s*[:?>]+$"
    ),
    re.compile(r"^==>$"),
)
"""The last line, where the number is typed."""

HINT = re.compile(
    r"(?i)\b(?:esc|enter|return|tab|ctrl|space|arrows?|navigate|select|confirm|cancel|amend|toggle|help|shortcuts|"
    r"context left|sandbox|tokens|waiting for)\b|[↑↓←→⏎↵]|^\W*\? for "
)
"""What may stand below a menu."""

COMPOSER = re.compile(r"^\s*(?:[❯›>$#%]|\S+[@:]\S*[$#%])(?:\s.*)?$")
"""A place to type commands or messages: what is above it has been answered."""

HINT_LINE = re.compile(r"(?i)^\W*(?:use (?:the )?(?:arrow|↑)|↑|\(use|press|space to|type to)")
"""A hint among the lines of a menu without numbers."""
