"""Profiles of the agents that are known without being configured."""

from __future__ import annotations

from typing import Any

BUILT_IN_AGENTS: dict[str, dict[str, Any]] = {
    "claude": {
        "command": ["claude", "--session-id", "{conversation_id}"],
        "resume": ["claude", "--resume", "{conversation_id}"],
        "modes": {"fast": ["--model", "haiku"], "med": ["--model", "sonnet"], "slow": ["--model", "opus"]},
        "submit_delay_ms": 200,
    },
    "codex": {
        "command": ["codex"],
        "resume": ["codex", "resume", "{conversation_id}"],
        "modes": {
            "fast": ["-c", "model_reasoning_effort=low"],
            "med": ["-c", "model_reasoning_effort=medium"],
            "slow": ["-c", "model_reasoning_effort=high"],
        },
        "submit_delay_ms": 200,
    },
    "gemini": {
        "command": ["gemini"],
        "resume": ["gemini", "--resume", "{conversation_id}"],
        "modes": {"fast": ["--model", "flash-lite"], "med": ["--model", "flash"], "slow": ["--model", "pro"]},
        "submit_delay_ms": 200,
    },
    "opencode": {
        "command": ["opencode"],
        "resume": ["opencode", "--session", "{conversation_id}"],
        "submit_delay_ms": 200,
    },
}


def with_built_in(agents: Any) -> Any:
    """``agents`` as configured, each laid over the built-in profile of its name; all others are kept."""
    if not isinstance(agents, dict):
        return agents
    merged = {name: dict(profile) for name, profile in BUILT_IN_AGENTS.items()}
    for name, profile in agents.items():
        known = BUILT_IN_AGENTS.get(name, {}) if isinstance(name, str) else {}
        merged[name] = {**known, **profile} if isinstance(profile, dict) else profile
    return merged
