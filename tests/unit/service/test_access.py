from __future__ import annotations

from typing import Any

import pytest

from teleclaude.errors import ForbiddenError, NotFoundError, UnavailableError
from teleclaude.model import Principal, Role
from teleclaude.service.access import authorise, local_reference
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import AdoptSession, GetSession, SendInput


@pytest.mark.parametrize("role", list(Role))
def test_a_role_includes_the_lower_ones(role: Role) -> None:
    commands: list[Command[Any]] = [
        GetSession(id="x"),
        SendInput(id="x", text="a"),
        AdoptSession(target="x"),
    ]
    for command in commands:
        if role >= command.role:
            authorise(Principal("p", role), command)
        else:
            with pytest.raises(ForbiddenError) as refused:
                authorise(Principal("p", role), command)
            assert refused.value.operation == command.operation


def test_references() -> None:
    assert local_reference("build", "box", operation="o") == "build"
    assert local_reference("box/build", "box", operation="o") == "build"
    with pytest.raises(UnavailableError):
        local_reference("other/build", "box", operation="o")
    for bad in ["/build", "BOX/build", "../build", "a b/c"]:
        with pytest.raises(NotFoundError):
            local_reference(bad, "box", operation="o")
