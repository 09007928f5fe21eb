from __future__ import annotations

from typing import Any

import pytest

from teleclaude.python.worker.namespace import ENGINE_INTERNALS, HISTORY, Namespace


@pytest.fixture
def names() -> dict[str, Any]:
    return {"__name__": "__main__", "__builtins__": __builtins__}


@pytest.fixture
def namespace(names: dict[str, Any]) -> Namespace:
    return Namespace(names)


def test_d01_results_shift_and_none_leaves_no_trace(namespace: Namespace) -> None:
    for value in (1, None, 2, 3):
        namespace.begin(f"{value}")
        namespace.remember(value)
    assert [namespace.names[name] for name in ("_", "__", "___")] == [3, 2, 1]
    assert namespace.names["Out"] == {1: 1, 3: 2, 4: 3}
    assert namespace.names["In"] == ["", "1", "None", "2", "3"]


def test_d03_the_dict_is_never_replaced(namespace: Namespace, names: dict[str, Any]) -> None:
    namespace.update({"a": 1}, "overwrite")
    namespace.clear()
    namespace.begin("x")
    assert namespace.names is names


def test_d04_internals_are_skipped_and_reported(namespace: Namespace) -> None:
    before = dict(namespace.names)
    values: dict[str, Any] = dict.fromkeys(ENGINE_INTERNALS, 5)
    updated, skipped = namespace.update(values, "overwrite")
    assert updated == []
    assert set(skipped) == ENGINE_INTERNALS
    assert namespace.names == before


def test_d04_history_works_after_its_names_are_rebound(namespace: Namespace) -> None:
    namespace.begin("first")
    namespace.remember(1)
    namespace.names["In"] = namespace.names["Out"] = None
    del namespace.names["_"]
    namespace.begin("second")
    namespace.remember(2)
    assert namespace.names["Out"] == {1: 1, 2: 2}
    assert namespace.names["In"] == ["", "first", "second"]
    assert (namespace.names["_"], namespace.names["__"]) == (2, 1)


@pytest.mark.parametrize("name", ["", "1a", "a b", "class", "a.b", "é " * 3, "__name__"])
def test_d04_what_is_no_name_is_skipped(namespace: Namespace, name: str) -> None:
    assert namespace.update({name: 1, "good": 2}, "overwrite") == (["good"], [name])


def test_d05_overwrite_replaces(namespace: Namespace) -> None:
    namespace.names.update(a=1, f=len)
    assert namespace.update({"a": 2, "f": 3, "new": 4}, "overwrite") == (["a", "f", "new"], [])
    assert (namespace.names["a"], namespace.names["f"]) == (2, 3)


def test_d05_preserve_keeps_what_is_there(namespace: Namespace) -> None:
    namespace.names.update(a=None)
    assert namespace.update({"a": 2, "new": 4}, "preserve") == (["new"], ["a"])
    assert namespace.names["a"] is None


@pytest.mark.parametrize("present", [None, True, 1, 1.5, "text", [], {}, [1]])
def test_d05_smart_replaces_plain_data(namespace: Namespace, present: object) -> None:
    namespace.names["a"] = present
    values: list[Any] = [None, [], {"x": 1}]
    for value in values:
        assert namespace.update({"a": value}, "smart") == (["a"], [])
        assert namespace.names["a"] == value


@pytest.mark.parametrize("present", [len, pytest, object(), int, {1, 2}, range(3)])
def test_d05_smart_keeps_what_only_code_can_make(namespace: Namespace, present: object) -> None:
    namespace.names["a"] = present
    assert namespace.update({"a": 1}, "smart") == ([], ["a"])
    assert namespace.names["a"] is present


def test_d05_another_strategy_is_an_error(namespace: Namespace) -> None:
    with pytest.raises(ValueError, match="strategy"):
        namespace.update({"a": 1}, "clever")
    assert "a" not in namespace.names


def test_d06_clear_leaves_the_internals(namespace: Namespace) -> None:
    namespace.begin("x")
    namespace.remember(5)
    internals = {name: namespace.names[name] for name in namespace.names}
    namespace.names.update(a=1, _private=2)
    assert namespace.clear() == ["a", "_private"]
    assert namespace.names == internals


def test_history_is_bounded(namespace: Namespace) -> None:
    for number in range(HISTORY + 10):
        namespace.begin(str(number))
        namespace.remember(number)
    assert len(namespace.names["Out"]) == HISTORY
    assert sum(map(bool, namespace.names["In"])) == HISTORY
    assert namespace.names["In"][-1] == str(HISTORY + 9)
