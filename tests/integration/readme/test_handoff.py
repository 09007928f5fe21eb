"""What README and docs/handoff.md tell a reader to type for handing over works as printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.integration.readme.test_readme import README, blocks, run
from tests.support.fleet import Fleet, shared_fleet

PAGE = README.parent / "docs" / "handoff.md"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    more = {}
    for name in ("north", "south"):
        folder = tmp_path_factory.mktemp(name)
        more[name] = {"computer__trusted_dirs": json.dumps([{"path": str(folder), "name": "project"}])}
    with shared_fleet("north", "south", more=more) as fleet:
        for name, settings in more.items():
            (fleet[name].home / "project").symlink_to(json.loads(settings["computer__trusted_dirs"])[0]["path"])
        yield fleet


def follow(fleet: Fleet, script: str) -> None:
    for line in script.splitlines():
        done = run(fleet["north"], line.replace("~/project", "$(realpath ~/project)"))
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_the_readme(fleet: Fleet) -> None:
    follow(fleet, blocks("## Handing a session to another computer")[0])
    assert "make test" in run(fleet["north"], "teleclaude wait fix --idle 300; teleclaude logs fix").stdout
    run(fleet["north"], "teleclaude kill --purge fix")


def test_the_page(fleet: Fleet) -> None:
    asking, api = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[:2]
    follow(fleet, asking)
    socket = fleet["north"].socket
    api_of = f'api() {{ curl -sS --fail-with-body --unix-socket {socket} http://localhost/v1"$@"; }}\n'
    done = run(fleet["north"], api_of + api)
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout.splitlines()[0])["to"] == "south"
    assert run(fleet["north"], "teleclaude kill web").returncode == 0
