-- What this computer durably knows of who owns a session that was handed over, once for each such session.
CREATE TABLE handoffs (
    session_id TEXT PRIMARY KEY,
    changed_at REAL NOT NULL,
    record TEXT NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE INDEX handoffs_age ON handoffs (changed_at);
