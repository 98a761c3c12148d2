-- +goose Up
CREATE TABLE contact_record (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact   TEXT NOT NULL,
    global_id TEXT NOT NULL,
    node      TEXT NOT NULL,
    begin_at  BIGINT NOT NULL,
    queued_at BIGINT NOT NULL,
    answer_at BIGINT NOT NULL,
    end_at    BIGINT NOT NULL,
    called    TEXT NOT NULL,
    calling   TEXT NOT NULL,
    script    TEXT NOT NULL,
    queue     TEXT NOT NULL,
    agent     TEXT NOT NULL,
    team      TEXT NOT NULL,
    callback  BIGINT NOT NULL,
    offers    BIGINT NOT NULL,
    wait_ms   BIGINT NOT NULL,
    talk_ms   BIGINT NOT NULL,
    outcome   TEXT NOT NULL,
    ended_by  TEXT NOT NULL,
    cause     BIGINT NOT NULL,
    reasons   TEXT NOT NULL,
    note      TEXT NOT NULL,
    variables TEXT NOT NULL
);
CREATE INDEX contact_record_begin ON contact_record (begin_at);
CREATE TABLE queue_interval (
    id                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begin_at           BIGINT NOT NULL,
    end_at             BIGINT NOT NULL,
    node               TEXT NOT NULL,
    queue              TEXT NOT NULL,
    offered            BIGINT NOT NULL,
    answered           BIGINT NOT NULL,
    answered_within    BIGINT NOT NULL,
    abandoned          BIGINT NOT NULL,
    abandoned_within   BIGINT NOT NULL,
    abandoned_short    BIGINT NOT NULL,
    left_queue         BIGINT NOT NULL,
    no_answer          BIGINT NOT NULL,
    callbacks          BIGINT NOT NULL,
    callbacks_answered BIGINT NOT NULL,
    answer_wait_ms     BIGINT NOT NULL,
    abandon_wait_ms    BIGINT NOT NULL,
    longest_wait_ms    BIGINT NOT NULL,
    talk_ms            BIGINT NOT NULL,
    work_ms            BIGINT NOT NULL,
    service_level      DOUBLE PRECISION NOT NULL
);
CREATE INDEX queue_interval_begin ON queue_interval (begin_at);
CREATE TABLE agent_interval (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begin_at     BIGINT NOT NULL,
    end_at       BIGINT NOT NULL,
    node         TEXT NOT NULL,
    agent        TEXT NOT NULL,
    team         TEXT NOT NULL,
    handled      BIGINT NOT NULL,
    no_answer    BIGINT NOT NULL,
    logged_in_ms BIGINT NOT NULL,
    not_ready_ms BIGINT NOT NULL,
    ready_ms     BIGINT NOT NULL,
    reserved_ms  BIGINT NOT NULL,
    talking_ms   BIGINT NOT NULL,
    hold_ms      BIGINT NOT NULL,
    work_ms      BIGINT NOT NULL
);
CREATE INDEX agent_interval_begin ON agent_interval (begin_at);

-- +goose Down
DROP TABLE agent_interval;
DROP TABLE queue_interval;
DROP TABLE contact_record;
