"""What the Telegram benchmark runs in each terminal: it works in turns, and asks when a file tells it to."""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path

TURN_SECONDS = (20, 60)
PAUSE_SECONDS = (3, 8)


class Program:
    def __init__(self, name: str, speed: float) -> None:
        self._name = name
        self._speed = speed
        self._chance = random.Random(name)
        self._never = threading.Event()

    def run(self) -> None:
        number = 0
        while True:
            for _ in range(self._chance.randint(*TURN_SECONDS)):
                number += 1
                _say(f"{self._name} does step {number}\n")
                if not self._second():
                    return
            for _ in range(self._chance.randint(*PAUSE_SECONDS)):
                if not self._second():
                    return

    def _second(self) -> bool:
        """Whether to go on."""
        self._never.wait(1 / self._speed)
        ask, end = Path(f"{self._name}.ask"), Path(f"{self._name}.end")
        if ask.exists():
            self._ask(ask.read_text())
            ask.unlink()
        if end.exists():
            _say(f"the last of {self._name}\n")
            sys.stdin.read()
        return not end.exists()

    def _ask(self, number: str) -> None:
        with Path("asked").open("a") as asked:
            asked.write(f"{number} {time.time()}\n")
        _say(f"Approval {number}? [y/N] ")
        sys.stdin.readline()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    Program(sys.argv[1], float(sys.argv[2])).run()
