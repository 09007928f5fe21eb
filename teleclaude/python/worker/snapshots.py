"""A namespace written down and read back. What cannot be carried is named, never kept by reference."""

from __future__ import annotations

import importlib
import io
import pickle
from types import FunctionType, ModuleType
from typing import Any, BinaryIO

from teleclaude.python.worker.failures import clean
from teleclaude.python.worker.namespace import Namespace

MAX_BYTES = 1 << 30


def save(namespace: Namespace, file: BinaryIO) -> dict[str, Any]:
    """Write the user's names; answers ``{carried, dropped: [{name, type, reason}]}``.

    Modules are carried by name, everything else by pickle. Functions and classes of the cells are not: their code is
    known to this process only.
    """
    modules: dict[str, str] = {}
    values: dict[str, Any] = {}
    dropped = []
    for name in namespace.user_names():
        value = namespace.names[name]
        if isinstance(value, ModuleType):
            modules[name] = value.__name__
            continue
        reason = _obstacle(value)
        if reason is None:
            values[name] = value
        else:
            dropped.append({"name": clean(name), "type": clean(type(value).__name__), "reason": reason})
    # In one piece, so that two names for one object stay that.
    _Pickler(file).dump({"modules": modules, "values": values, "dropped": [entry["name"] for entry in dropped]})
    return {"carried": sorted([*modules, *values]), "dropped": dropped}


def restore(namespace: Namespace, file: BinaryIO) -> dict[str, Any]:
    """Make the user's names what they were; answers ``{restored, removed, kept, missing}``.

    Names that came later are ``removed``. Of those that the snapshot could not carry, ``kept`` are still there, with
    the value of now, and ``missing`` are not.
    """
    content = pickle.load(file)  # the daemon checked that it is our own, byte for byte
    restored = {**content["values"]}
    missing = [name for name in content["dropped"] if name not in namespace.names]
    for name, module in content["modules"].items():
        try:
            restored[name] = importlib.import_module(module)
        except ImportError:
            missing.append(name)
    kept = [name for name in content["dropped"] if name in namespace.names]
    removed = [name for name in namespace.user_names() if name not in restored and name not in kept]
    for name in removed:
        namespace.names.pop(name, None)
    namespace.names.update(restored)
    return {"restored": sorted(restored), "removed": removed, "kept": kept, "missing": missing}


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (FunctionType, type)) and value.__module__ == "__main__":
            raise pickle.PicklingError(f"{value.__name__} is defined in a cell")
        return NotImplemented


class _Counter(io.RawIOBase):
    """Takes the bytes of a trial and keeps none."""

    def __init__(self) -> None:
        self._count = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self._count += size
        if self._count > MAX_BYTES:
            raise ValueError("it is too large")
        return size


def _obstacle(value: Any) -> str | None:
    try:
        _Pickler(_Counter()).dump(value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return clean(f"{type(error).__name__}: {error}")[:300]
    return None
