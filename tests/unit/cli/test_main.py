"""From the words typed to the exit code."""

from __future__ import annotations

import pytest

from teleclaude.cli.main import main


@pytest.mark.parametrize(
    ("argv", "config"), [(["serve"], None), (["serve", "--config", "x.yml"], "x.yml"), (["--json", "serve"], None)]
)
def test_serve_runs_the_daemon_and_ends_as_it_does(argv: list[str], config: str | None) -> None:
    asked: list[str | None] = []

    def serve(path: str | None) -> int:
        asked.append(path)
        return 78

    assert main(argv, serve) == 78
    assert asked == [config]


def test_ctrl_c_is_130() -> None:
    def serve(_: str | None) -> int:
        raise KeyboardInterrupt

    assert main(["serve"], serve) == 130


def test_help_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"], lambda _: 1) == 0
    assert "teleclaude COMMAND --help" in capsys.readouterr().out


def test_wrong_words_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--"], lambda _: 1) == 2
    assert capsys.readouterr().err == "teleclaude: a command is missing after --\n"
