"""What the kernel takes as one argument or variable of a program, and what is said about more."""

from __future__ import annotations

from collections.abc import Callable

from teleclaude.errors import TooLargeError

MAX_STRING_BYTES = 128 << 10
"""Linux takes no argument or environment string of this size or more: MAX_ARG_STRLEN in execve(2), with its NUL."""


def passable(operation: str) -> Callable[[str], str]:
    """A validator of an argument. Raises ``TooLargeError``: no ``ValueError``, as it has a code of its own."""

    def check(text: str) -> str:
        size = len(text.encode())
        if size >= MAX_STRING_BYTES:
            raise TooLargeError(
                f"an argument, script or variable has {size} bytes and the system takes at most "
                f"{MAX_STRING_BYTES - 1}; pass it by a file or by standard input",
                operation=operation,
            )
        return text

    return check


def passable_env(operation: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """The same for an environment, whose strings are ``NAME=value``."""
    check = passable(operation)

    def check_each(env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            check(f"{name}={value}")
        return env

    return check_each
