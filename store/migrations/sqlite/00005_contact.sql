-- +goose Up
CREATE TABLE contact_record (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    contact   TEXT NOT NULL,
    global_id TEXT NOT NULL,
    node      TEXT NOT NULL,
    begin_at  INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    answer_at INTEGER NOT NULL,
    end_at    INTEGER NOT NULL,
    called    TEXT NOT NULL,
    calling   TEXT NOT NULL,
    script    TEXT NOT NULL,
    queue     TEXT NOT NULL,
    agent     TEXT NOT NULL,
    team      TEXT NOT NULL,
    callback  INTEGER NOT NULL,
    offers    INTEGER NOT NULL,
    wait_ms   INTEGER NOT NULL,
    talk_ms   INTEGER NOT NULL,
    outcome   TEXT NOT NULL,
    ended_by  TEXT NOT NULL,
    cause     INTEGER NOT NULL,
    reasons   TEXT NOT NULL,
    note      TEXT NOT NULL,
    variables TEXT NOT NULL
);
CREATE INDEX contact_record_begin ON contact_record (begin_at);
CREATE TABLE queue_interval (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    begin_at           INTEGER NOT NULL,
    end_at             INTEGER NOT NULL,
    node               TEXT NOT NULL,
    queue              TEXT NOT NULL,
    offered            INTEGER NOT NULL,
    answered           INTEGER NOT NULL,
    answered_within    INTEGER NOT NULL,
    abandoned          INTEGER NOT NULL,
    abandoned_within   INTEGER NOT NULL,
    abandoned_short    INTEGER NOT NULL,
    left_queue         INTEGER NOT NULL,
    no_answer          INTEGER NOT NULL,
    callbacks          INTEGER NOT NULL,
    callbacks_answered INTEGER NOT NULL,
    answer_wait_ms     INTEGER NOT NULL,
    abandon_wait_ms    INTEGER NOT NULL,
    longest_wait_ms    INTEGER NOT NULL,
    talk_ms            INTEGER NOT NULL,
    work_ms            INTEGER NOT NULL,
    service_level      REAL NOT NULL
);
CREATE INDEX queue_interval_begin ON queue_interval (begin_at);
CREATE TABLE agent_interval (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    begin_at     INTEGER NOT NULL,
    end_at       INTEGER NOT NULL,
    node         TEXT NOT NULL,
    agent        TEXT NOT NULL,
    team         TEXT NOT NULL,
    handled      INTEGER NOT NULL,
    no_answer    INTEGER NOT NULL,
    logged_in_ms INTEGER NOT NULL,
    not_ready_ms INTEGER NOT NULL,
    ready_ms     INTEGER NOT NULL,
    reserved_ms  INTEGER NOT NULL,
    talking_ms   INTEGER NOT NULL,
    hold_ms      INTEGER NOT NULL,
    work_ms      INTEGER NOT NULL
);
CREATE INDEX agent_interval_begin ON agent_interval (begin_at);

-- +goose Down
DROP TABLE agent_interval;
DROP TABLE queue_interval;
DROP TABLE contact_record;
