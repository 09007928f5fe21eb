-- A token is its SHA-256; the text itself is shown once, when it is made, and never stored.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL UNIQUE,
    role INTEGER NOT NULL,
    sessions TEXT,
    verbs TEXT,
    created_at REAL NOT NULL,
    expires_at REAL
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    principal TEXT NOT NULL,
    operation TEXT NOT NULL,
    subject TEXT,
    result TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT;

-- The past cannot be changed; only what lies further back than the newest 500000 rows may be dropped.
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log cannot be changed'); END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN old.seq > (SELECT MAX(seq) FROM audit) - 500000
BEGIN SELECT RAISE(ABORT, 'the audit log cannot be shortened'); END;
