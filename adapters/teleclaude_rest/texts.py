"""What the description says where types cannot."""

EVENTS = """\
Each event is `id: SEQ`, `event: TYPE`, `data: Event`. `after=N` (or `Last-Event-ID: N`) replays everything above N;
without it the stream begins now. A comment comes every 15 s."""

STREAM = """\
`id:` is the offset to go on from; send it as `Last-Event-ID` after a broken connection. `from` defaults to the end.
Events: `output {from, to, b64}` (with `format=text`: `text`), `gap {from, to, bytes, reason}`, `state {state}`,
`exit {state, code, signal, at, reason}` (the last one), `handed_off {computer, session_id, epoch}`."""

OUTPUT = """\
`from` defaults to the oldest kept byte, `-N` is the last N. Past the end: empty. Below retention: 410 `gap` with
`start`. `wait_ms` waits so long for new bytes."""

TTY = """\
Binary messages: bytes of the terminal out, typed bytes in. Text messages of the server:
`{type: "hello", offset, cols, rows}` first, then `{type: "gap" | "state" | "exit" | "handed_off" | "error", …}`;
of the client: `{type: "resize", cols, rows}`."""
