"""One daemon per module: its state is shared on purpose, sessions have their own names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process


@pytest.fixture
async def daemon() -> AsyncIterator[DaemonProcess]:
    async with daemon_process() as running:
        yield running


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.socket) as opened:
        yield opened
