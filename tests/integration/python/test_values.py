"""What a value looks like outside, and what the API does with variables."""

from __future__ import annotations

import asyncio
import base64

import pytest

from teleclaude.errors import DeadlineError, InvalidError, TooLargeError
from teleclaude.model import CellResult, CompletedState
from tests.support.python import Driven, Sessions
from tests.support.wait import eventually


async def result_of(python: Driven, code: str) -> CellResult:
    outcome = await (await python.run(code)).outcome()
    assert isinstance(outcome, CompletedState), outcome
    assert outcome.result is not None
    return outcome.result


@pytest.mark.parametrize(
    "code",
    ["object()", "{1: 2}", "{1, 2}", "float('nan')", "2**70", "'\\ud800'", "x = []; x.append(x); x", "'x' * 2_000_000"],
)
async def test_d21_what_json_cannot_say_has_a_repr_only(python: Driven, code: str) -> None:
    result = await result_of(python, code)
    assert result.value is None
    assert result.repr
    assert result.truncated is ("2_000_000" in code)
    assert len(result.repr) <= 64 << 10


async def test_d21_json_data_is_the_value(python: Driven) -> None:
    values: list[object] = [[1, 2.5, None, True, "é\n"], {"a": {"b": []}}, "", 0, False]
    for value in values:
        assert (await result_of(python, repr(value))).value == value
    assert (await result_of(python, "(1, 2)")).value == [1, 2]


async def test_d21_a_repr_that_raises_exits_or_never_ends(python: Driven) -> None:
    await python.run(
        "class Bad:\n  def __init__(self, work): self.work = work\n  def __repr__(self): return self.work()\n"
        "def fail(): raise ValueError\n"
        "def leave(): raise SystemExit\n"
        "def deep(): return deep()\n"
        "def hang():\n  print('go')\n  while True: pass"
    )
    for work in ("fail", "leave", "deep", "lambda: 5"):
        result = await result_of(python, f"Bad({work})")
        assert result.value is None
        assert "repr failed" in result.repr
        assert result.truncated
    cell = python.submit("Bad(hang)")
    await cell.printed("go")
    await cell.running.interrupt()
    await cell.outcome()
    assert await python.value("1+1") == 2


async def test_d21_huge_values_are_cut_before_their_text_is_made(python: Driven) -> None:
    for code in ("'x' * 10**7", "[0] * 10**7", "b'x' * 10**7", "range(10**9)"):
        result = await result_of(python, code)
        assert result.value is None
        assert len(result.repr) <= 64 << 10


async def test_errors_that_cannot_be_told(python: Driven) -> None:
    await python.run(
        "class Bad(Exception):\n  def __str__(self): return self.args[0]()\n"
        "def hang():\n  print('go', flush=True)\n  while True: pass\n"
        "class Meta(type):\n  def __getattr__(self, name): raise ValueError\n"
        "class Odd(metaclass=Meta): pass"
    )
    assert (await python.error("raise Bad(lambda: 5)")).type == "Bad"
    cell = python.submit("raise Bad(hang)")
    await cell.printed("go")
    await cell.running.interrupt()
    await cell.outcome()
    assert (await result_of(python, "Odd()")).repr
    await python.run("globals()['\\ud800'] = 1")
    assert "\\ud800" in [item["name"] for item in (await python.session.variables.list())["variables"]]
    assert (await python.error("raise ValueError('\\ud800')")).message == "\\ud800"


async def test_a_large_display_is_left_out(python: Driven) -> None:
    await python.run(
        "class Big:\n  def _repr_html_(self): return 'é' * 5_000_000\n  def _repr_svg_(self): return '<svg/>'"
    )
    assert list((await result_of(python, "Big()")).display or {}) == ["image/svg+xml", "text/plain"]


async def test_rich_forms_are_offered(python: Driven) -> None:
    result = await result_of(
        python,
        "class Rich:\n"
        "  def _repr_png_(self): return b'PNG'\n"
        "  def _repr_html_(self): return '<b>x</b>'\n"
        "  def _repr_json_(self): return {'a': 1}\n"
        "  def _repr_svg_(self): return None\n"
        "  def _repr_latex_(self): raise ValueError\n"
        "  def __repr__(self): return 'rich'\nRich()",
    )
    assert result.display == {
        "image/png": base64.b64encode(b"PNG").decode(),
        "text/html": "<b>x</b>",
        "application/json": {"a": 1},
        "text/plain": "rich",
    }
    assert (await result_of(python, "Rich")).display is None
    assert (await result_of(python, "1")).display is None


async def test_a_figure_is_a_picture(python: Driven) -> None:
    """A stand-in for matplotlib, which has no _repr_png_ of its own: a figure is known by its class."""
    await python.run(
        "import sys, types\n"
        "figures = sys.modules['matplotlib.figure'] = types.ModuleType('matplotlib.figure')\n"
        "class Figure:\n"
        "  def savefig(self, buffer, format, **options): buffer.write(b'PNG')\n"
        "figures.Figure = Figure\n"
        "pyplot = sys.modules['matplotlib.pyplot'] = types.ModuleType('matplotlib.pyplot')\n"
        "pyplot.open = []\n"
        "pyplot.get_fignums = lambda: list(range(len(pyplot.open)))\n"
        "pyplot.gcf = lambda: pyplot.open[-1]\n"
        "pyplot.figure = lambda number: pyplot.open[number]\n"
        "pyplot.close = lambda what: pyplot.open.clear()"
    )
    wanted = base64.b64encode(b"PNG").decode()
    for code in ("Figure()", "pyplot.open.append(Figure())", "pyplot.open.append(Figure()); [1]"):
        display = (await result_of(python, code)).display
        assert display is not None
        assert display["image/png"] == wanted
    several = "pyplot.open[:] = [Figure(), Figure(), Figure()]"
    display = (await result_of(python, several)).display
    assert [*(display or ())] == ["image/png;figure=1", "image/png;figure=2", "image/png", "text/plain"]
    display = (await result_of(python, f"{several}; pyplot.open[0]")).display
    assert [*(display or ())] == ["image/png;figure=1", "image/png;figure=2", "image/png", "text/plain"]
    assert await python.value("pyplot.open") == []


async def test_variables_are_listed_merged_and_cleared(python: Driven) -> None:
    await python.run("x = 1\nimport os\ndef f(): pass\nclass Bad:\n  def __repr__(self): raise ValueError\nbad = Bad()")
    listed = await python.session.variables.list()
    assert [(item["name"], item["type"]) for item in listed["variables"]] == [
        ("x", "int"),
        ("os", "module"),
        ("f", "function"),
        ("Bad", "type"),
        ("bad", "Bad"),
    ]
    assert listed["variables"][0]["repr"] == "1"
    assert listed["total"] == 5
    assert await python.session.variables.update({"x": 2, "f": 3, "In": 4}, "smart") == {
        "updated": ["x"],
        "skipped": ["f", "In"],
    }
    assert await python.value("x") == 2
    with pytest.raises(InvalidError):
        await python.session.variables.update({"x": 2}, "other")
    assert await python.session.variables.clear() == {"cleared": 5}
    assert (await python.session.variables.list())["variables"] == []
    assert await python.value("_") == 2


async def test_a_listing_that_never_ends_is_interrupted(sessions: Sessions) -> None:
    python = await sessions.start(request_timeout_ms=100)
    await python.run("import time\nclass Slow:\n  def __repr__(self): time.sleep(60)\nslow = Slow()")
    with pytest.raises(DeadlineError):
        await python.session.variables.list()
    assert await python.value("1+1") == 2
    assert python.session.epoch == 1


async def test_a_listing_that_nobody_waits_for_is_interrupted(python: Driven) -> None:
    await python.run("import time\nclass Slow:\n  def __repr__(self): print('go'); time.sleep(60)\nslow = Slow()")
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        asking = group.create_task(python.session.variables.list())
        await eventually(lambda: b"go" in python.late.data)
        asking.cancel()
    assert await python.value("1+1") == 2
    assert python.session.epoch == 1


async def test_many_variables_are_listed_up_to_a_limit(python: Driven) -> None:
    await python.run("globals().update({f'v{n}': 'x' * 1000 for n in range(5000)})")
    listed = await python.session.variables.list()
    assert len(listed["variables"]) == 1000
    assert listed["total"] == 5000


async def test_sources_that_are_hard_to_take(python: Driven) -> None:
    for code in ("a\0b", "(" * 100_000, "x = 1\n" * 50_000):
        async with asyncio.timeout(30):
            await python.run(code)
    with pytest.raises(TooLargeError):
        python.submit("#" * (11 << 20))
    assert await python.value("1+1") == 2
