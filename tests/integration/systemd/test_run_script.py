"""``./run`` on a computer that lacks a program, with stand-ins for what installs one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
RECORDING = '#!/bin/sh\necho "$0 $*" >>"{calls}"\nexit 1\n'


def test_without_tmux_and_without_a_password_it_says_what_to_type(tmp_path: Path) -> None:
    """Nobody can answer sudo here, so it is asked once whether it would need an answer, and not made to fail."""
    calls = tmp_path / "calls"
    for name in ("dirname", "cat"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    programs = {"id": "#!/bin/sh\necho 1000\n", "sudo": RECORDING, "apt-get": RECORDING}
    for name, text in programs.items():
        (tmp_path / name).write_text(text.format(calls=calls))
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [str(ROOT / "run"), "setup"],
        env={"PATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "run: tmux is missing. Install it, as root: apt-get install -y --no-install-recommends tmux\n"
    )
    assert calls.read_text().splitlines() == [f"{tmp_path / 'sudo'} -n true"]
