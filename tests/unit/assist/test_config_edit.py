"""One section of a config is written, and nothing else is touched."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.assist.config_edit import with_section

NEW = {"enabled": True, "users": {17: "owner"}}
WRITTEN = "telegram:\n  enabled: true\n  users:\n    17: owner\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", WRITTEN),
        ("log:\n  level: debug\n", f"log:\n  level: debug\n\n{WRITTEN}"),
        ("# mine\nlog: {level: debug}", f"# mine\nlog: {{level: debug}}\n\n{WRITTEN}"),
        (
            "telegram:\n  enabled: false  # for now\n  # more\n\nlog:\n  level: info\n",
            f"{WRITTEN}\nlog:\n  level: info\n",
        ),
        ("telegram: {}\n# about the log\nlog: {}\n", f"{WRITTEN}# about the log\nlog: {{}}\n"),
        ("log: {}\ntelegram:\n    chat_id: 4\n", f"log: {{}}\n{WRITTEN}"),
        ("agents:\n  telegram:\n    command: [x]\n", f"agents:\n  telegram:\n    command: [x]\n\n{WRITTEN}"),
    ],
)
def test_sections(before: str, after: str) -> None:
    assert with_section(before, "telegram", NEW) == after


_VALUES = st.dictionaries(st.sampled_from(["a", "b"]), st.integers() | st.booleans() | st.just("x y"), max_size=2)


@given(st.dictionaries(st.sampled_from(["log", "rest", "telegram", "tmux"]), _VALUES, max_size=4))
def test_the_other_sections_stay_as_they_were(sections: dict[str, dict[str, object]]) -> None:
    before = yaml.safe_dump(sections) if sections else ""
    assert yaml.safe_load(with_section(before, "telegram", NEW)) == sections | {"telegram": NEW}
