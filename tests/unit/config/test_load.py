from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from teleclaude.config import Config, ConfigError, load_config
from teleclaude.config.load import trust_problem
from teleclaude.model import Role

JSON_EXAMPLES = '["a", "b"] or {"key": "value"}'
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_config(text: str) -> Path:
        path = tmp_path / "config.yml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write_config


def problems(path: Path, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    assert caught.value.exit_code == 78
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def test_example_holds_every_key_with_its_default(write: Write) -> None:
    text = (Path(__file__).parents[3] / "config.example.yml").read_text()
    assert load_config(write(text), {}) == Config()
    for section, info in Config.model_fields.items():
        assert f"\n{section}:\n" in text
        keys = getattr(info.annotation, "model_fields", {})
        for key in keys:
            assert f"\n  {key}:" in text, f"{section}.{key}"


def test_no_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(None, {"XDG_CONFIG_HOME": str(tmp_path)}) == Config()


def test_defaults_are_usable() -> None:
    config = Config()
    assert config.computer.name
    assert Path(config.sessions.shell).is_absolute()
    assert Path(config.python.interpreter).is_absolute()
    assert set(config.agents) == {"claude", "codex", "gemini", "opencode"}


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "none.yml", {})
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(None, {"TELECLAUDE_CONFIG": str(tmp_path / "none.yml")})


def test_file_of_the_usual_place_is_read(tmp_path: Path) -> None:
    (tmp_path / "teleclaude").mkdir()
    (tmp_path / "teleclaude/config.yml").write_text("sessions:\n  max: 7\n")
    assert load_config(None, {"XDG_CONFIG_HOME": str(tmp_path)}).sessions.max == 7


def test_all_problems_are_told_at_once_in_the_order_of_lines(write: Write) -> None:
    path = write("sessions:\n  max: 0\n  colls: 3\ntmux:\n  transport: pigeon\nsesions: {}\n")
    assert problems(path) == [
        "2: sessions.max: Input should be greater than or equal to 1",
        "3: sessions.colls: unknown key; did you mean cols?",
        "5: tmux.transport: Input should be 'control' or 'subprocess'",
        "6: sesions: unknown key; did you mean sessions?",
    ]


def test_c1_tags_are_refused(write: Write) -> None:
    (problem,) = problems(write("log:\n  level: !!python/object/apply:os.system ['touch P']\n"))
    assert problem.startswith("2: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed")


def test_c2_duplicate_key(write: Write) -> None:
    path = write("sessions:\n  max: 1\n  cols: 80\n  max: 2\n")
    assert problems(path) == ["4: sessions.max: this key is already on line 2"]


def test_c3_tab(write: Write) -> None:
    assert problems(write("sessions:\n\tmax: 1\n")) == ["2: a tab stands here; indent with spaces"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "text\n", "5\n"])
def test_c4_no_mapping_at_the_top(write: Write, text: str) -> None:
    (problem,) = problems(write(text))
    assert "not a list" in problem


@pytest.mark.parametrize("text", ["", "\n", "# only this\n", "---\n", "--- ~\n"])
def test_c4_an_empty_file_means_the_defaults(write: Write, text: str) -> None:
    assert load_config(write(text), {}).sessions.max == 100


def test_c5_bombs(write: Write) -> None:
    assert "anchors and aliases" in problems(write("a: &a [1]\nb: [*a, *a]\n"))[0]
    assert "anchors and aliases" in problems(write("computer:\n  role: *x\n"))[0]
    assert "larger than 256 KiB" in problems(write("# " + "x" * 300_000))[0]
    assert "nested too deeply" in problems(write("a: " + "[" * 20_000))[0]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("no", "`no` was read as the boolean false; quote it for text"),
        ("0755", "`0755` was read as the number 493; write that, or quote it for text"),
        ("12:30:45", "`12:30:45` was read as the number 45045; write that, or quote it for text"),
        ("12", "`12` was read as the number 12; quote it for text"),
        ("1e3", None),
        ("1.5", "`1.5` was read as the number 1.5; quote it for text"),
        ("2026-01-31", "`2026-01-31` was read as a date; quote it for text"),
        ("2026-13-77", "`2026-13-77` is no valid timestamp; quote it for text"),
        ("9" * 5000, "is no valid int; quote it for text"),
        ("~", None),
    ],
)
def test_c6_yaml_surprises_are_named(write: Write, value: str, what: str | None) -> None:
    path = write(f"log:\n  level: info\ncomputer:\n  role: {value}\n")
    if what is None:
        if value != "~":
            assert load_config(path, {}).computer.role == value
        else:
            assert problems(path) == [
                "4: computer.role: Input should be a valid string; `~` was read as nothing (null); quote it for text"
            ]
        return
    (problem,) = problems(path)
    assert problem.startswith("4: computer.role: ")
    assert problem.endswith(what)


def test_c6_surprising_numbers_are_refused_for_numbers_too(write: Write) -> None:
    assert problems(write("sessions:\n  max: 010\n")) == [
        "2: sessions.max: `010` was read as the number 8; write that, or quote it for text"
    ]
    assert problems(write("sessions:\n  max: true\n")) == ["2: sessions.max: Input should be a valid integer"]
    assert problems(write('sessions:\n  max: "10"\n')) == ["2: sessions.max: Input should be a valid integer"]
    assert problems(write("sessions:\n  max: 1.0\n")) == ["2: sessions.max: Input should be a valid integer"]


def test_c6_keys_are_words(write: Write) -> None:
    assert problems(write("on:\n  max: 1\n")) == ["1: on: this key was read as the boolean true; quote it"]
    assert problems(write("? [a]\n: 1\n")) == ["1: a key must be a word, not a list or mapping"]


def test_c7_user_ids(write: Write) -> None:
    config = load_config(write('telegram:\n  users: {17: owner, "18": viewer}\n'), {})
    assert config.telegram.users == {17: Role.OWNER, 18: Role.VIEWER}
    for bad in ('"+17"', "true", "-3", '"١٢"', "'*'", "nobody"):
        assert problems(write(f"telegram:\n  users: {{{bad}: owner}}\n"))
    assert problems(write("telegram:\n  users: {17: boss}\n")) == [
        "2: telegram.users.17: must be one of: viewer, operator, owner"
    ]


def test_c8_unknown_keys_are_never_ignored(write: Write) -> None:
    assert problems(write("rest:\n  alowed_hosts: []\n")) == [
        "2: rest.alowed_hosts: unknown key; did you mean allowed_hosts?"
    ]
    assert problems(write("zzz: 1\n")) == ["1: zzz: unknown key"]
    assert problems(write("redis:\n  peers:\n    far:\n      rol: viewer\n")) == [
        "4: redis.peers.far.rol: unknown key; did you mean role?"
    ]


def test_c9_nobody_by_default_and_no_wildcards(write: Write) -> None:
    assert load_config(write("telegram:\n  users: {}\n"), {}).telegram.users == {}
    for text in (
        'rest:\n  allowed_hosts: ["*"]\n',
        'rest:\n  allowed_origins: ["*"]\n',
        'executions:\n  allowed: ["*"]\n',
    ):
        assert "wildcard" in problems(write(text))[0]


@pytest.mark.parametrize("mode", [0o664, 0o620, 0o606, 0o666])
def test_c10_file_that_others_can_write(write: Write, mode: int) -> None:
    path = write("log:\n  level: info\n")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}"):
        load_config(path, {})


def test_c10_password_needs_a_private_file(write: Write) -> None:
    path = write("redis:\n  url: redis://user:hunter22@localhost/0\n")
    assert load_config(path, {}).redis.url is not None
    path.chmod(0o644)
    (problem,) = problems(path)
    assert problem == "2: redis.url: holds a password, so the file must be private; run: chmod 600"
    assert "hunter22" not in problem
    environ = {"TELECLAUDE_REDIS__URL": "redis://:hunter22@localhost/0"}
    path = write("log:\n  level: info\n")
    path.chmod(0o644)
    config = load_config(path, environ)
    assert config.redis.url is not None
    assert "hunter22" not in repr(config)


def _status(mode: int, uid: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, 0, 0, 0, 0, 0))


def test_c10_c11_owner_of_file_and_link() -> None:
    mine = _status(stat.S_IFREG | 0o600, 1000)
    link = stat.S_IFLNK | 0o777
    assert trust_problem(mine, mine, 1000) is None
    assert trust_problem(_status(stat.S_IFREG | 0o644, 0), mine, 1000) is None
    assert "belongs to uid 1001" in (trust_problem(_status(stat.S_IFREG | 0o600, 1001), mine, 1000) or "")
    assert trust_problem(mine, _status(link, 1000), 1000) is None
    assert "symbolic link" in (trust_problem(mine, _status(link, 1001), 1000) or "")
    assert "regular" in (trust_problem(_status(stat.S_IFDIR | 0o700, 1000), mine, 1000) or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_c10_c11_foreign_file_and_link(write: Write, tmp_path: Path) -> None:
    path = write("log:\n  level: info\n")
    link = tmp_path / "link.yml"
    link.symlink_to(path)
    assert load_config(link, {}) == Config()
    os.lchown(link, 12345, 12345)
    with pytest.raises(ConfigError, match="symbolic link that belongs to uid 12345"):
        load_config(link, {})
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to uid 12345"):
        load_config(path, {})


def test_c11_fifo_and_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(ConfigError, match="is not a regular file"):
            load_config(path, {})


@pytest.mark.parametrize("listen", ["127.0.0.1:7433", "[::1]:80", "localhost:0", "127.8.9.10:65535"])
def test_c12_loopback_is_accepted(write: Write, listen: str) -> None:
    assert load_config(write(f'rest:\n  listen: "{listen}"\n'), {}).rest.listen == listen


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:7433", "[::]:7433", "192.168.1.5:80", ":80", "7433", "127.0.0.1", "127.1:80", "example.org:80", "::1:80",
     "127.0.0.1:99999", "127.0.0.1:٨٠", "[127.0.0.1]:80", "localhost.:80"],
)  # fmt: skip
def test_c12_anything_else_is_refused(write: Write, listen: str) -> None:
    (problem,) = problems(write(f'rest:\n  listen: "{listen}"\n'))
    assert problem.startswith("2: rest.listen: ")


def test_c13_socket_path_too_long(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "TELECLAUDE_RUNTIME_DIR": "/run/" + "x" * 120}
    with pytest.raises(ConfigError, match=r"^TELECLAUDE_RUNTIME_DIR: .* at most 1\d\d"):
        load_config(None, environ)


@pytest.mark.parametrize("name", ["../../x", "", "a b", "x" * 65, "a\\n", "é"])
def test_c14_tmux_socket_name(write: Write, name: str) -> None:
    (problem,) = problems(write(f'tmux:\n  socket_name: "{name}"\n'))
    assert problem.startswith("2: tmux.socket_name: ")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"log:\n  level: \xff\n")
    assert problems(path) == ["2: is not UTF-8 text"]


def test_built_in_agents_stay_under_the_users_own(write: Write) -> None:
    path = write("agents:\n  claude:\n    submit_delay_ms: 5\n  mine:\n    command: [mine, -v]\n    env: {A: b}\n")
    agents = load_config(path, {}).agents
    assert (agents["claude"].command, agents["claude"].submit_delay_ms) == (
        ("claude", "--session-id", "{conversation_id}"),
        5,
    )
    assert agents["claude"].resume == ("claude", "--resume", "{conversation_id}")
    assert (agents["mine"].command, agents["mine"].env) == (("mine", "-v"), {"A": "b"})
    assert "codex" in agents


def test_agent_mistakes_have_their_lines(write: Write) -> None:
    path = write("agents:\n  mine: {}\n  other:\n    command: run me\n  Bad Name:\n    command: [x]\n")
    assert problems(path) == [
        "2: agents.mine.command: this key is needed",
        "4: agents.other.command: must be a list of program and arguments, such as [claude, --verbose]",
        "5: agents.Bad Name: 'Bad Name' is no name; use a-z, 0-9, _ and -, at most 63, first a letter or digit",
    ]


def test_sections_check_that_they_are_whole(write: Write) -> None:
    assert problems(write("log: {}\nredis:\n  enabled: true\n")) == ["2: redis: redis.enabled needs url and key_file"]
    assert problems(write("telegram:\n  enabled: true\n"))[0].startswith("1: telegram: telegram.enabled needs")
    assert "above max_timeout_ms" in problems(write("executions:\n  timeout_ms: 9\n  max_timeout_ms: 8\n"))[0]
    assert "warm is above max" in problems(write("python:\n  warm: 11\n"))[0]
    assert problems(write("sessions:\n"))[0].startswith("1: sessions: must be a mapping of keys")


def test_paths(write: Write) -> None:
    path = write("computer:\n  trusted_dirs:\n    - {path: ~/work, name: work}\n    - {path: /srv}\n")
    first, second = load_config(path, {}).computer.trusted_dirs
    assert (first.path, first.name) == (Path.home() / "work", "work")
    assert second.path == Path("/srv")
    assert problems(write("computer:\n  trusted_dirs:\n    - path: /a\n    - path: b\n")) == [
        "4: computer.trusted_dirs.1.path: must be an absolute path, or begin with ~/"
    ]


def test_environment_sets_any_key(write: Write) -> None:
    path = write("sessions:\n  max: 3\n  cols: 90\n")
    config = load_config(
        path,
        {
            "TELECLAUDE_SESSIONS__MAX": "5",
            "TELECLAUDE_SESSIONS__IDLE_CLOSE_MS": "",
            "TELECLAUDE_EXECUTIONS__TIMEOUT_MS": "100",
            "TELECLAUDE_REST__ENABLED": "false",
            "TELECLAUDE_REST__ALLOWED_HOSTS": '["a:1"]',
            "TELECLAUDE_COMPUTER__TRUSTED_DIRS": '[{"path": "/srv"}]',
            "TELECLAUDE_COMPUTER__NAME": "12",
            "TELECLAUDE_REDIS__PEERS": '{"far": {"role": "viewer"}}',
            "TELECLAUDE_AGENTS__CLAUDE__COMMAND": '["other"]',
            "TELECLAUDE_TELEGRAM__USERS": '{"17": "owner"}',
            "TELECLAUDE_TELEGRAM__CHAT_ID": "-100123",
            "TELECLAUDE_STATE_DIR": "/nowhere",
            "TELECLAUDE_CONFIG": "/nowhere",
            "OTHER__THING": "1",
        },
    )
    assert (config.sessions.max, config.sessions.cols, config.sessions.idle_close_ms) == (5, 90, None)
    assert config.executions.timeout_ms == 100
    assert (config.rest.enabled, config.rest.allowed_hosts) == (False, ("a:1",))
    assert config.computer.trusted_dirs[0].path == Path("/srv")
    assert config.computer.name == "12"
    assert config.redis.peers["far"].role is Role.VIEWER
    assert config.agents["claude"].command == ("other",)
    assert config.agents["claude"].resume == ("claude", "--resume", "{conversation_id}")
    assert (config.telegram.users, config.telegram.chat_id) == ({17: Role.OWNER}, -100123)


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("TELECLAUDE_SESSIONS__MAX", "many", "sessions.max: must be a decimal number"),
        ("TELECLAUDE_SESSIONS__MAX", "0", "sessions.max: Input should be greater than or equal to 1"),
        ("TELECLAUDE_SESSIONS__MAX", "", "sessions.max: must be a decimal number"),
        ("TELECLAUDE_SESSIONS__MAXX", "1", "sessions.maxx: unknown key; did you mean max?"),
        ("TELECLAUDE_SESION__MAX", "1", "sesion: unknown key; did you mean sessions?"),
        ("TELECLAUDE_REST__ENABLED", "yes", "rest.enabled: must be true or false"),
        ("TELECLAUDE_REST__ALLOWED_HOSTS", "a", "rest.allowed_hosts: must be JSON, such as " + JSON_EXAMPLES),
        ("TELECLAUDE_REDIS__PEERS", '{"a": {}, "a": {}}', "redis.peers: has a key twice"),
        ("TELECLAUDE_TELEGRAM__USERS", '{"1": NaN}', "telegram.users: NaN is no number"),
        ("TELECLAUDE_LOG__LEVEL", "loud", "log.level: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("TELECLAUDE_LOG__LEVEL__X", "1", "log.level.x: unknown key"),
        ("TELECLAUDE_AGENTS__NEW__ENV", "{}", "agents.new.command: this key is needed"),
    ],
)  # fmt: skip
def test_environment_mistakes_name_the_variable(write: Write, variable: str, value: str, what: str) -> None:
    path = write("log:\n  format: json\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {variable: value})
    (problem,) = caught.value.problems
    assert problem == f"{variable}: {what}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().log.level = "debug"
