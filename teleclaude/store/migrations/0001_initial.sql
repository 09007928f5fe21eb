-- The whole record is JSON; what is searched for stands in columns beside it. Times are microseconds since 1970 UTC.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    computer TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    live INTEGER NOT NULL,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    record TEXT NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX sessions_live_name ON sessions (computer, name) WHERE live = 1;
CREATE INDEX sessions_name ON sessions (computer, name, created_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE live = 0;

-- AUTOINCREMENT: a number is never used again, also when every event was trimmed.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    session_id TEXT,
    execution_id TEXT,
    data TEXT NOT NULL
) STRICT;

CREATE INDEX events_session ON events (session_id, seq) WHERE session_id IS NOT NULL;

-- A row is there before its input is typed; without an offset it is not known whether it was.
CREATE TABLE input_receipts (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    delivered_offset INTEGER,
    created_at REAL NOT NULL,
    PRIMARY KEY (session_id, client_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX input_receipts_age ON input_receipts (created_at);

-- A row is there before its command takes effect; without a reply it is not known whether it did.
CREATE TABLE idempotency_keys (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    digest TEXT NOT NULL,
    reply TEXT,
    created_at REAL NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT;

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
