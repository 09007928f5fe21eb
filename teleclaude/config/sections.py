"""Every section and key, with its default. What each is for stands in ``config.example.yml``."""

from __future__ import annotations

import sys
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from teleclaude.config.agents import with_built_in
from teleclaude.config.types import (
    AbsolutePath,
    Argv,
    Bytes,
    Duration,
    EnvName,
    Exact,
    Line,
    Listed,
    Listen,
    Milliseconds,
    Name,
    RoleName,
    Section,
    Word,
    host_name,
    user_shell,
)

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

CONVERSATION_ID = "{conversation_id}"
"""Stands in ``agents.<name>.command`` for the id of a new conversation, in ``resume`` for the one to take up again."""


class TrustedDir(Section):
    path: AbsolutePath
    name: Line = ""
    description: Line = ""


class ComputerConfig(Section):
    name: Annotated[Name, BeforeValidator(lambda value: host_name() if value is None else value)] = Field(
        default_factory=host_name
    )
    role: Line = ""
    trusted_dirs: Listed[TrustedDir] = ()


class TmuxConfig(Section):
    binary: Word = "tmux"
    socket_name: Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,64}\z")] = "teleclaude"
    transport: Literal["control", "subprocess"] = "control"
    history_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    command_timeout_ms: Milliseconds = 5000


class SessionsConfig(Section):
    max: Annotated[int, Field(ge=1, le=10_000)] = 100
    shell: Annotated[Word, BeforeValidator(lambda value: user_shell() if value is None else value)] = Field(
        default_factory=user_shell
    )
    cols: Annotated[int, Field(ge=1, le=1000)] = 120
    rows: Annotated[int, Field(ge=1, le=1000)] = 40
    segment_bytes: Annotated[int, Field(ge=KIB, le=GIB)] = MIB
    retention_bytes: Bytes = 64 * MIB
    disk_bytes: Bytes = 10 * GIB
    keep_exited_ms: Duration = 7 * DAY_MS
    idle_close_ms: Milliseconds | None = None


class ExecutionsConfig(Section):
    max_concurrent: Annotated[int, Field(ge=1, le=10_000)] = 16
    timeout_ms: Milliseconds | None = None
    max_timeout_ms: Milliseconds = DAY_MS
    grace_ms: Duration = 2000
    drain_ms: Duration = 500
    disconnect_grace_ms: Duration = 0
    max_output_bytes: Bytes = 16 * MIB
    overflow: Literal["truncate", "fail", "spool"] = "truncate"
    max_spool_bytes: Bytes = GIB
    max_memory_bytes: Bytes | None = None
    max_processes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    allowed: Listed[Exact] | None = None
    retention_ms: Duration = 7 * DAY_MS
    max_kept: Annotated[int, Field(ge=1, le=1_000_000)] = 1000

    @field_validator("allowed")
    @classmethod
    def _programs_have_no_path(cls, allowed: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for program in allowed or ():
            if "/" in program:
                raise ValueError(f"{program!r} is a path; write the program's name, as found on PATH")
        return allowed

    @model_validator(mode="after")
    def _default_within_maximum(self) -> Self:
        if self.timeout_ms is not None and self.timeout_ms > self.max_timeout_ms:
            raise ValueError("timeout_ms is above max_timeout_ms")
        return self


class PythonConfig(Section):
    interpreter: Annotated[Word, BeforeValidator(lambda value: sys.executable if value is None else value)] = Field(
        default_factory=lambda: sys.executable
    )
    max: Annotated[int, Field(ge=1, le=1000)] = 10
    ready_timeout_ms: Milliseconds = 10_000
    grace_ms: Duration = 500
    warm: Annotated[int, Field(ge=0, le=1000)] = 0
    max_memory_bytes: Bytes | None = None
    max_processes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _warm_within_maximum(self) -> Self:
        if self.warm > self.max:
            raise ValueError("warm is above max")
        return self


class AgentProfile(Section):
    """How to start an agent, and how to take up a conversation again; ``{conversation_id}`` is filled in in both.

    ``modes`` are arguments to add to either, by the name that ``agent: NAME:MODE`` asks for.
    """

    command: Argv
    resume: Argv | None = None
    modes: dict[Name, Argv] = Field(default_factory=dict)
    submit_delay_ms: Annotated[int, Field(ge=0, le=10_000)] = 200
    env: dict[EnvName, Line] = Field(default_factory=dict)

    @field_validator("command", "resume", mode="before")
    @classmethod
    def _is_a_list(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError("must be a list of program and arguments, such as [claude, --verbose]")  # noqa: TRY004
        return value


class RestConfig(Section):
    enabled: bool = True
    listen: Listen | None = None
    allowed_hosts: Listed[Exact] | None = None
    allowed_origins: Listed[Exact] | None = None
    max_body_bytes: Annotated[int, Field(ge=KIB, le=GIB)] = 8 * MIB
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 100


class RedisPeer(Section):
    key_file: AbsolutePath | None = None
    role: RoleName | None = None


class RedisConfig(Section):
    enabled: bool = False
    url: SecretStr | None = None
    namespace: Annotated[str, Field(pattern=r"\A[A-Za-z0-9_.-]{1,64}\z")] = "teleclaude"
    key_file: AbsolutePath | None = None
    peers: dict[Name, RedisPeer] = Field(default_factory=dict)
    heartbeat_ms: Annotated[int, Field(ge=100, le=DAY_MS)] = 10_000
    peer_ttl_ms: Annotated[int, Field(ge=200, le=DAY_MS)] = 30_000

    @field_validator("url", mode="after")
    @classmethod
    def _has_a_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.enabled and (self.url is None or self.key_file is None):
            raise ValueError("redis.enabled needs url and key_file")
        if self.peer_ttl_ms <= self.heartbeat_ms:
            raise ValueError("peer_ttl_ms must be above heartbeat_ms, or peers vanish between two heartbeats")
        return self


class TelegramConfig(Section):
    enabled: bool = False
    token_file: AbsolutePath | None = None
    chat_id: int | None = None
    users: dict[int, RoleName] = Field(default_factory=dict)
    publish_commands: bool = True
    base_url: Word = "https://api.telegram.org/bot"
    base_file_url: Word = "https://api.telegram.org/file/bot"
    transcribe_command: Argv | None = None
    download_dirs: Listed[AbsolutePath] | None = None

    @field_validator("users", mode="before")
    @classmethod
    def _ids_are_numbers(cls, users: object) -> object:
        if not isinstance(users, dict):
            return users
        return {_user_id(key): role for key, role in users.items()}

    @field_validator("base_url", "base_file_url")
    @classmethod
    def _is_a_bot_url(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")) or not url.endswith("/bot"):
            raise ValueError("must be an http(s) address ending in /bot; the token is put behind it")
        return url

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.enabled and (self.token_file is None or self.chat_id is None):
            raise ValueError("telegram.enabled needs token_file and chat_id")
        return self


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(Section):
    """All settings, complete and checked. ``Config()`` is the defaults."""

    computer: ComputerConfig = Field(default_factory=ComputerConfig)
    tmux: TmuxConfig = Field(default_factory=TmuxConfig)
    sessions: SessionsConfig = Field(default_factory=SessionsConfig)
    executions: ExecutionsConfig = Field(default_factory=ExecutionsConfig)
    python: PythonConfig = Field(default_factory=PythonConfig)
    agents: Annotated[dict[Name, AgentProfile], BeforeValidator(with_built_in)] = Field(
        default_factory=dict, validate_default=True
    )
    rest: RestConfig = Field(default_factory=RestConfig)
    redis: RedisConfig = Field(default_factory=RedisConfig)
    telegram: TelegramConfig = Field(default_factory=TelegramConfig)
    log: LogConfig = Field(default_factory=LogConfig)


def _user_id(key: object) -> int:
    if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 20:
        return int(key)
    if isinstance(key, int) and not isinstance(key, bool) and key > 0:
        return key
    raise ValueError(f"{key!r} is no user id; use the numeric id of each person")
