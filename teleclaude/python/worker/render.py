"""A value as data for others: bounded text, JSON where it is JSON, and the rich forms it offers."""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from teleclaude.python.worker.failures import clean

REPR_CHARS = 64 << 10
VALUE_BYTES = 1 << 20
DISPLAY_BYTES = 6 << 20
MAX_FIGURES = 20
"""So many of the figures that a cell leaves open are shown."""
PNG = "image/png"

_ITEMS = 10_000
_MAX_INT = 2**63

_RICH = (
    ("_repr_png_", PNG),
    ("_repr_jpeg_", "image/jpeg"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_html_", "text/html"),
    ("_repr_markdown_", "text/markdown"),
    ("_repr_latex_", "text/latex"),
    ("_repr_json_", "application/json"),
)


def render(value: Any, figures: Sequence[Any] = ()) -> dict[str, Any]:
    """``{repr, value, display, truncated, notes}``; whatever the value's own methods do ends up in ``notes``.

    ``figures`` are what the cell drew beside the value. The last is the value's picture, where that offers none; the
    others come before it as ``image/png;figure=N``.
    """
    notes: list[str] = []
    text, truncated = bounded_repr(value, REPR_CHARS, notes)
    display = _display(value, notes)
    drawn = [figure for figure in figures if figure is not value]
    if drawn:
        display = {**_pictures(drawn, display, notes), **display}
    if display:
        display["text/plain"] = text
    return {"repr": text, "value": json_value(value), "display": display, "truncated": truncated, "notes": notes}


def bounded_repr(value: Any, limit: int, notes: list[str]) -> tuple[str, bool]:
    """At most ``limit`` characters, and whether that is less than all."""
    text = _attempt(lambda: _repr(value, limit), f"repr of {_type_name(value)}", notes)
    if text is None:
        return f"<{_type_name(value)} object: its repr failed>", True
    whole, complete = text
    return clean(whole[:limit]), len(whole) > limit or not complete


def json_value(value: Any) -> Any:
    """The value itself when it is JSON data of at most ``VALUE_BYTES``, else None."""
    try:
        if not _is_json(value, [VALUE_BYTES]):
            return None
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value if len(body) <= VALUE_BYTES else None


def _repr(value: Any, limit: int) -> tuple[str, bool]:
    """A huge built-in is cut before its text is made."""
    kind = type(value)
    if kind in (str, bytes, bytearray) and len(value) > limit:
        return repr(value[:limit]), False
    if kind in (list, tuple, set, frozenset, dict) and len(value) > _ITEMS:
        part = kind(islice(value.items() if kind is dict else value, _ITEMS))
        return repr(part), False
    return "".join(repr(value)), True


def _is_json(value: Any, budget: list[int]) -> bool:
    kind = type(value)
    budget[0] -= len(value) if kind is str else 1
    if budget[0] < 0:
        return False
    if value is None or kind is bool or kind is str:
        return True
    if kind is int:
        return bool(-_MAX_INT <= value < _MAX_INT)
    if kind is float:
        return math.isfinite(value)
    if kind is list or kind is tuple:
        return all(_is_json(item, budget) for item in value)
    if kind is dict:
        return all(type(key) is str and _is_json(key, budget) and _is_json(item, budget) for key, item in value.items())
    return False


def _display(value: Any, notes: list[str]) -> dict[str, Any]:
    # Even to ask a class what it has may run code of its own.
    forms = _attempt(lambda: list(_forms(value, notes)), f"display of {_type_name(value)}", notes) or []
    found: dict[str, Any] = {}
    room = DISPLAY_BYTES
    for mime, data in forms:
        size = len(json.dumps(data))
        if size > room:
            notes.append(f"{mime} of {_type_name(value)} was left out: too large")
        elif mime not in found:
            room -= size
            found[mime] = data
    return found


def _pictures(figures: Sequence[Any], display: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """What all forms together may take holds for these, too; the newest ones are kept."""
    room = DISPLAY_BYTES - sum(len(json.dumps(data)) for data in display.values())
    found: dict[str, Any] = {}
    for number, figure in reversed(list(enumerate(figures, 1))):
        png = _display(figure, notes).get(PNG)
        if png is None or len(png) > room:
            notes.append(f"figure {number} was left out")
            continue
        room -= len(png)
        found[PNG if PNG not in {**display, **found} else f"{PNG};figure={number}"] = png
    return dict(reversed(found.items()))


def _forms(value: Any, notes: list[str]) -> Iterator[tuple[str, Any]]:
    kind, name = type(value), _type_name(value)
    if callable(getattr(kind, "_repr_mimebundle_", None)):
        bundle = _attempt(value._repr_mimebundle_, f"_repr_mimebundle_ of {name}", notes)
        bundle = bundle[0] if isinstance(bundle, tuple) and bundle else bundle
        if isinstance(bundle, dict):
            for mime, data in bundle.items():
                if type(mime) is str and mime != "text/plain":
                    yield from _form(clean(mime), data)
    for method, mime in _RICH:
        if callable(getattr(kind, method, None)):
            yield from _form(mime, _attempt(getattr(value, method), f"{method} of {name}", notes))
    if is_figure(value):
        yield from _form(PNG, _attempt(lambda: _figure_png(value), f"picture of {name}", notes))


def _form(mime: str, data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, tuple) and data:  # (data, metadata) is allowed, too
        data = data[0]
    if isinstance(data, (bytes, bytearray)):
        yield mime, base64.b64encode(data).decode("ascii")
    elif isinstance(data, str):
        yield mime, clean(data)
    elif data is not None and mime.endswith("json"):
        plain = json_value(data)
        if plain is not None:
            yield mime, plain


def is_figure(value: Any) -> bool:
    """Whether it is a matplotlib figure, which draws itself only for those who ask by its own method."""
    figures = sys.modules.get("matplotlib.figure")
    return figures is not None and isinstance(value, getattr(figures, "Figure", ()))


def take_open_figures() -> list[Any]:
    """The figures of pyplot, the current one last; all are closed to it, as the cell that drew them is over."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return [] if pyplot is None else _attempt(lambda: _close_figures(pyplot), "pyplot", []) or []


def _close_figures(pyplot: Any) -> list[Any]:
    numbers = list(pyplot.get_fignums())
    if not numbers:
        return []
    current = pyplot.gcf()
    figures = [pyplot.figure(number) for number in numbers[-MAX_FIGURES:]] if len(numbers) > 1 else []
    pyplot.close("all")
    return [*(figure for figure in figures if figure is not current), current]


def _figure_png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _type_name(value: Any) -> str:
    return clean(type(value).__name__)[:200]


def _attempt(work: Callable[[], Any], what: str, notes: list[str]) -> Any:
    try:
        return work()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        notes.append(f"{what} raised {type(error).__name__}")
        return None
