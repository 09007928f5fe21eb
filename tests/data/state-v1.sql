BEGIN TRANSACTION;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    session_id TEXT,
    execution_id TEXT,
    data TEXT NOT NULL
) STRICT;
INSERT INTO "events" VALUES(1,1769851800000000,'session.created','ses_1',NULL,'{"name":"shell","kind":"terminal"}');
INSERT INTO "events" VALUES(2,1769851800000000,'session.state','ses_1',NULL,'{"state":"running"}');
INSERT INTO "events" VALUES(3,1769851800000000,'session.exit','ses_3',NULL,'{"state":"exited","code":2,"signal":null,"at":"2026-01-31T09:31:00.000Z","reason":"exited","offset":4711}');
CREATE TABLE idempotency_keys (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    digest TEXT NOT NULL,
    reply TEXT,
    created_at REAL NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT;
INSERT INTO "idempotency_keys" VALUES('local','k1','session.create','d1','{"reply":{}}',1769851800.5);
CREATE TABLE input_receipts (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    delivered_offset INTEGER,
    created_at REAL NOT NULL,
    PRIMARY KEY (session_id, client_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "input_receipts" VALUES('ses_1','cli',7,120,1769851800.5);
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
INSERT INTO "sessions" VALUES('ses_1','shell','laptop','terminal','running',1,'["red", "blue"]',1769851801000000,NULL,'{"id":"ses_1","name":"shell","kind":"terminal","computer":"laptop","spec":{"command":null,"cwd":"/srv","env":{"LANG":"C.UTF-8"},"cols":120,"rows":40,"agent":null},"state":{"name":"running","pane":{"server_pid":4242,"server_start":1000,"session_id":"$3","pane_id":"%7","pid":4300,"pid_start":1001}},"created_at":"2026-01-31T09:30:01+00:00","owner":"local","tags":["red","blue"],"epoch":1,"title":"vim","input_offset":120,"adopted":false}',660269227);
INSERT INTO "sessions" VALUES('ses_2','fresh','laptop','terminal','starting',1,'[]',1769851802000000,NULL,'{"id":"ses_2","name":"fresh","kind":"terminal","computer":"laptop","spec":{"command":null,"cwd":"/srv","env":{"LANG":"C.UTF-8"},"cols":120,"rows":40,"agent":null},"state":{"name":"starting"},"created_at":"2026-01-31T09:30:02+00:00","owner":"local","tags":[],"epoch":1,"title":"","input_offset":null,"adopted":false}',4208255713);
INSERT INTO "sessions" VALUES('ses_3','done','laptop','terminal','exited',0,'[]',1769851803000000,1769851860000000,'{"id":"ses_3","name":"done","kind":"terminal","computer":"laptop","spec":{"command":["make","all"],"cwd":"/srv","env":{},"cols":80,"rows":24,"agent":null},"state":{"name":"exited","exit":{"code":2,"signal":null,"at":"2026-01-31T09:31:00+00:00","reason":"exited"}},"created_at":"2026-01-31T09:30:03+00:00","owner":"local","tags":[],"epoch":1,"title":"","input_offset":null,"adopted":false}',950583672);
INSERT INTO "sessions" VALUES('ses_4','gone','laptop','terminal','lost',0,'[]',1769851804000000,1769851920000000,'{"id":"ses_4","name":"gone","kind":"terminal","computer":"laptop","spec":{"command":"htop | cat","cwd":"/srv","env":{},"cols":120,"rows":40,"agent":null},"state":{"name":"lost","exit":{"code":null,"signal":null,"at":"2026-01-31T09:32:00+00:00","reason":"tmux_server_gone"}},"created_at":"2026-01-31T09:30:04+00:00","owner":"local","tags":[],"epoch":1,"title":"","input_offset":null,"adopted":true}',1867012703);
INSERT INTO "sessions" VALUES('ses_5','moving','laptop','terminal','handing_off',1,'[]',1769851805000000,NULL,'{"id":"ses_5","name":"moving","kind":"terminal","computer":"laptop","spec":{"command":null,"cwd":"/srv","env":{"LANG":"C.UTF-8"},"cols":120,"rows":40,"agent":null},"state":{"name":"handing_off","computer":"server","epoch":2,"pane":{"server_pid":4242,"server_start":1000,"session_id":"$3","pane_id":"%7","pid":4300,"pid_start":1001}},"created_at":"2026-01-31T09:30:05+00:00","owner":"local","tags":[],"epoch":2,"title":"","input_offset":null,"adopted":false}',1520325278);
INSERT INTO "sessions" VALUES('ses_6','moved','laptop','terminal','handed_off',0,'[]',1769851806000000,1795234087282592,'{"id":"ses_6","name":"moved","kind":"terminal","computer":"laptop","spec":{"command":null,"cwd":"/srv","env":{},"cols":120,"rows":40,"agent":{"name":"claude","conversation_id":"c-1"}},"state":{"name":"handed_off","computer":"server","session_id":"ses_60","epoch":3},"created_at":"2026-01-31T09:30:06+00:00","owner":"local","tags":[],"epoch":3,"title":"","input_offset":null,"adopted":false}',1200929606);
CREATE UNIQUE INDEX sessions_live_name ON sessions (computer, name) WHERE live = 1;
CREATE INDEX sessions_name ON sessions (computer, name, created_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE live = 0;
CREATE INDEX events_session ON events (session_id, seq) WHERE session_id IS NOT NULL;
CREATE INDEX input_receipts_age ON input_receipts (created_at);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',3);
PRAGMA user_version = 1;
COMMIT;
