"""Commands and views of what a terminal shows."""

from __future__ import annotations

from teleclaude.model import Prompt, PromptKind, Role, Screen
from teleclaude.wire.base import Command, Reference, View


class CursorView(View):
    x: int
    y: int
    visible: bool


class PromptOptionView(View):
    """``keys`` choose it, as the keys of ``/keys``."""

    label: str
    keys: list[str]
    selected: bool


class PromptView(View):
    """What the program asks at the bottom of the screen. ``context`` are the lines above the question; ``fingerprint``
    is the same as long as the same is asked, so look again before pressing keys for it.
    """

    kind: PromptKind
    question: str
    context: list[str]
    options: list[PromptOptionView]
    fingerprint: str

    @classmethod
    def of(cls, prompt: Prompt) -> PromptView:
        options = [
            PromptOptionView(label=option.label, keys=list(option.keys), selected=option.selected)
            for option in prompt.options
        ]
        return cls(
            kind=prompt.kind,
            question=prompt.question,
            context=list(prompt.context),
            options=options,
            fingerprint=prompt.fingerprint,
        )


class ScreenView(View):
    cols: int
    rows: int
    cursor: CursorView
    alternate: bool
    title: str
    lines: list[str]
    offset: int
    exact: bool
    prompt: PromptView | None

    @classmethod
    def of(cls, screen: Screen) -> ScreenView:
        return cls(
            cols=screen.cols,
            rows=screen.rows,
            cursor=CursorView(x=screen.cursor.x, y=screen.cursor.y, visible=screen.cursor.visible),
            alternate=screen.alternate,
            title=screen.title,
            lines=list(screen.lines),
            offset=screen.offset,
            exact=screen.exact,
            prompt=PromptView.of(screen.prompt) if screen.prompt else None,
        )


class ReadScreen(Command[Screen]):
    """What the terminal shows. Output followed from ``offset`` skips nothing, and repeats nothing where ``exact``."""

    operation = "session.screen"
    role = Role.VIEWER
    mutates = False

    id: Reference


class RenderScreen(Command[bytes]):
    """The screen as a PNG image."""

    operation = "session.screen.png"
    role = Role.VIEWER
    mutates = False

    id: Reference
