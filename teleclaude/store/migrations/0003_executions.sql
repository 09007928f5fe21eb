-- As with sessions: the whole record is JSON, what is searched for stands in columns beside it.
CREATE TABLE executions (
    id TEXT PRIMARY KEY,
    session_id TEXT,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    record TEXT NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE INDEX executions_created ON executions (created_at);
CREATE INDEX executions_live ON executions (created_at) WHERE live = 1;
CREATE INDEX executions_ended ON executions (ended_at) WHERE live = 0;
CREATE INDEX executions_session ON executions (session_id, created_at) WHERE session_id IS NOT NULL;

CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    live INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    record TEXT NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE INDEX plans_created ON plans (created_at);
CREATE INDEX plans_ended ON plans (ended_at) WHERE live = 0;
