"""The commands of the bot: one table, from which they are found, explained and published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from teleclaude_telegram.ask import Ask
from teleclaude_telegram.commands import keys, running, sessions, showing

Run = Callable[[Ask], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class BotCommand:
    name: str
    arguments: str
    explanation: str
    run: Run


async def _help(ask: Ask) -> None:
    lines = [
        f"/{command.name}{' ' + command.arguments if command.arguments else ''} – {command.explanation}"
        for command in TABLE
    ]
    await ask.reply("Text in a topic is typed into its session; //x types /x.\n\n" + "\n".join(lines))


TABLE: tuple[BotCommand, ...] = (
    BotCommand("new", "[name]", "begin a session; without a name, choose what and where", sessions.new),
    BotCommand("ls", "", "the sessions of all computers", showing.listing),
    BotCommand("screen", "", "the terminal as a picture, with keys", showing.screen),
    BotCommand("log", "[lines]", "the last output, or all of it as a file", showing.output),
    BotCommand("run", "command", "run a command and show how it ended", running.run),
    BotCommand("py", "code", "run Python in a session that keeps its variables", running.cell),
    BotCommand("kill", "", "end the session", sessions.kill),
    BotCommand("handoff", "computer", "move the session to another computer", sessions.handoff),
    BotCommand("who", "", "who may use this, and as what", showing.who),
    BotCommand("get", "path", "send a file from an allowed directory", showing.get),
    BotCommand("use", "name", "in a chat without topics: talk to this session", sessions.use),
    BotCommand("help", "", "this list", _help),
    BotCommand("new_session", "[title]", "begin a session", sessions.new),
    BotCommand("claude", "[fast|med|slow] [prompt]", "begin a session with Claude Code", sessions.agent("claude")),
    BotCommand("codex", "[fast|med|slow] [prompt]", "begin a session with Codex", sessions.agent("codex")),
    BotCommand("gemini", "[fast|med|slow] [prompt]", "begin a session with Gemini", sessions.agent("gemini")),
    BotCommand("agent_restart", "", "start the session's command again", sessions.restart),
    BotCommand("agent_resume", "", "start the agent again with its conversation", sessions.resume),
    BotCommand("rename", "name", "give the session another name", sessions.rename),
    BotCommand("resize", "columns rows", "give the terminal another size", sessions.resize),
    BotCommand("cd", "[directory]", "change the directory, or choose one", sessions.cd),
    BotCommand("cancel", "", "Ctrl-C", keys.pressing("C-c")),
    BotCommand("cancel2x", "", "Ctrl-C twice", keys.pressing("C-c", "C-c")),
    BotCommand("ctrl", "key", "Ctrl and a key", keys.control),
    BotCommand("enter", "", "Enter", keys.pressing("Enter")),
    BotCommand("tab", "", "Tab", keys.pressing("Tab")),
    BotCommand("shift_tab", "[n]", "Shift-Tab", keys.repeating("BTab")),
    BotCommand("claude_plan", "", "Shift-Tab three times: plan mode", keys.pressing("BTab", "BTab", "BTab")),
    BotCommand("backspace", "[n]", "Backspace", keys.repeating("BSpace")),
    BotCommand("escape", "[text]", "Escape, then the text", keys.escaping(1)),
    BotCommand("escape2x", "[text]", "Escape twice, then the text", keys.escaping(2)),
    BotCommand("key_up", "[n]", "arrow up", keys.repeating("Up")),
    BotCommand("key_down", "[n]", "arrow down", keys.repeating("Down")),
    BotCommand("key_left", "[n]", "arrow left", keys.repeating("Left")),
    BotCommand("key_right", "[n]", "arrow right", keys.repeating("Right")),
)

COMMANDS: Mapping[str, BotCommand] = {command.name: command for command in TABLE}
