"""What the description says where types cannot."""

READY = """\
Answered within 2 s. Not for a token that is narrowed down to some sessions or verbs."""

CREATE = """\
`command`: a text is run by the shell, an array as it is, none is the shell itself; or `agent`, a profile of
`/v1/agents`, with a `prompt`. `cwd` is an absolute path. Without `name` it gets one; names are unique among the live
sessions of a computer. `computer` starts it on another one: address it as `computer%2Fname` from then on."""

CLOSE = """\
Ends it (HUP, and KILL after `grace_ms`) and answers its last state; record and output stay until retention takes them,
or go at once with `purge=true`."""

INPUT = """\
Types `text`, as a paste where the program asks for that, and Enter unless `submit` is false. `offset` is the end of the
output when it was typed: wait for the answer from there. A repeat with the same `client_id` and `seq` is not typed
again and gets the same answer; count `seq` upwards."""

KEYS = """\
A key is one printable character other than `;`, or a name such as `Enter`, `Tab`, `Escape`, `BSpace`, `Up`, `PageDown`
or `F5`, with `C-`, `M-` and `S-` before it where wanted: `C-c`, `M-x`. An unknown one is `invalid`; the nearest names
are told."""

WAIT = """\
Answers `matched`, `exited` when the session ended first, or `timeout`, always with 200. `text` and `regex` (RE2) are
looked for in the output as `format=text` has it, from `from` on: by default the offset of the session's latest input,
else the oldest kept byte; what is typed is echoed, so it is part of the output. `idle_ms` waits for so long a silence,
`{"exit": true}` for the end, which is answered as `exited`, `activity` for that activity. `offset` is where the match
ends."""

SIGNAL = """\
`signal` is a name with or without SIG, such as `INT`."""

RESTART = """\
In the same session, whose output goes on. `resume` takes up an agent's conversation. A Python session gets a new
worker."""

ADOPT = """\
`target` is the session's name in tmux, `socket` the name or path of its server's socket; by default tmux's own."""

EVENTS = """\
Each event is `id: SEQ`, `event: TYPE`, `data: Event`. `after=N` (or `Last-Event-ID: N`) replays everything above N;
without it the stream begins now. A comment comes every 15 s. What is no longer kept is 410 `gap` with `start`.
`computer` follows the events of another computer, of which the last 1000 or so can be replayed."""

STREAM = """\
`id:` is the offset to go on from; send it as `Last-Event-ID` after a broken connection. `from` defaults to the end.
Events: `output {from, to, b64}` (with `format=text`: `text`), `gap {from, to, bytes, reason}`, `state {state}`,
`exit {state, code, signal, at, reason}` (the last one), `handed_off {computer, session_id, epoch}`."""

STREAMS = """\
`stream` is `stdout`, the default, or `stderr`; or `order`: a line of JSON for each run of bytes that one of them had to
itself, empty when only one was used. A Python cell's expression is in `result`, what it prints in `stdout`."""

OUTPUT = """\
`from` defaults to the oldest kept byte, `-N` is the last N. Past the end: empty. Below retention: 410 `gap` with
`start`. `wait_ms` waits so long for new bytes. With `format=text` a page ends before a character or an escape sequence
that it would cut, or goes on to its end when there is nothing else on it; offsets and `limit` count bytes of the
stream.
Half a character at the end is not given before the rest is there: empty, `Teleclaude-To` below `Teleclaude-End`."""

SEARCH = """\
The lines, oldest first, that hold `text` or a match of `regex` (RE2), as `format=text` has them; at most `limit`. Bytes
`[from, to)` are the line. `next` is where to go on: a long search answers what it has. Null: all done."""

TTY = """\
Binary messages: bytes of the terminal out, typed bytes in. Text messages of the server:
`{type: "hello", offset, cols, rows}` first, then `{type: "gap" | "state" | "exit" | "handed_off" | "error", …}`;
of the client: `{type: "resize", cols, rows}`."""

RPC = """\
Methods are the operations that carry `x-rpc-method`; path parameters, query and body together are `params`, an object.
Results are the same objects as over HTTP; `output.read` answers `{from, to, end, b64}`. Besides:
`events.subscribe {after?, sessions?}` and `events.unsubscribe`: the server sends notifications `event`, with an `Event`
as params; `execute {command, timeout? (seconds)}` runs a shell command for as long as the connection lives, one at a
time; `control {type: "PAUSE" | "RESUME" | "CANCEL"}` acts on it.
Errors: -32700, -32600, -32601, -32602 as in the standard; all others are -32010. `error.data` is a `Problem`.
Notifications may only read. At most 50 calls in a batch, 100 in flight, 1 MiB a frame."""
