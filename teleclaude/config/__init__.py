"""The daemon's settings: one strict model per section, read from a YAML file and the environment."""

from teleclaude.config.load import load_config
from teleclaude.config.problems import ConfigError
from teleclaude.config.sections import (
    CONVERSATION_ID,
    AgentProfile,
    ComputerConfig,
    Config,
    ExecutionsConfig,
    LogConfig,
    PythonConfig,
    RedisConfig,
    RedisPeer,
    RestConfig,
    SessionsConfig,
    TelegramConfig,
    TmuxConfig,
    TrustedDir,
)

__all__ = [
    "CONVERSATION_ID",
    "AgentProfile",
    "ComputerConfig",
    "Config",
    "ConfigError",
    "ExecutionsConfig",
    "LogConfig",
    "PythonConfig",
    "RedisConfig",
    "RedisPeer",
    "RestConfig",
    "SessionsConfig",
    "TelegramConfig",
    "TmuxConfig",
    "TrustedDir",
    "load_config",
]
