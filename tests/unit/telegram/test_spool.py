"""Files that wait to be sent."""

from __future__ import annotations

from pathlib import Path

from teleclaude_telegram.spool import sweep


def test_what_nobody_will_send_goes(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", []) == 0
    (tmp_path / "kept").write_text("1")
    (tmp_path / "left").write_text("2")
    assert sweep(tmp_path, [str(tmp_path / "kept"), ""]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
