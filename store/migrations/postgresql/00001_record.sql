-- +goose Up
CREATE TABLE revision (
    number  BIGINT PRIMARY KEY,
    author  TEXT    NOT NULL,
    at      BIGINT NOT NULL, -- microseconds since 1970, as every time here
    comment TEXT    NOT NULL,
    changes BIGINT NOT NULL
);
CREATE TABLE entity (
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    doc      JSONB   NOT NULL, -- JSON without secrets
    secret   TEXT    NOT NULL, -- JSON object: field path to hash; empty for none
    revision BIGINT NOT NULL REFERENCES revision (number),
    PRIMARY KEY (kind, key)
);
CREATE TABLE history (
    revision   BIGINT NOT NULL REFERENCES revision (number),
    seq        BIGINT NOT NULL,
    op         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    before_doc TEXT    NOT NULL,
    doc        TEXT    NOT NULL,
    secret     TEXT    NOT NULL,
    PRIMARY KEY (revision, seq)
);
CREATE TABLE audit (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT    NOT NULL,
    source TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT    NOT NULL,
    result TEXT    NOT NULL,
    detail TEXT    NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE TABLE certificate (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issuer    TEXT    NOT NULL,
    serial    TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    not_after BIGINT NOT NULL,
    revoked   BIGINT NOT NULL, -- 0: not revoked
    doc       JSONB   NOT NULL, -- JSON of the register's entry
    UNIQUE (issuer, serial)
);
CREATE TABLE node_state (
    node  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value BYTEA   NOT NULL,
    at    BIGINT NOT NULL,
    PRIMARY KEY (node, key)
);
CREATE TABLE call_record (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call        TEXT    NOT NULL,
    node        TEXT    NOT NULL,
    start_at    BIGINT NOT NULL,
    answer_at   BIGINT NOT NULL, -- 0: never answered
    end_at      BIGINT NOT NULL,
    calling     TEXT    NOT NULL,
    called      TEXT    NOT NULL,
    dialled     TEXT    NOT NULL,
    from_device TEXT    NOT NULL,
    to_device   TEXT    NOT NULL,
    cause       BIGINT NOT NULL,
    released_by TEXT    NOT NULL,
    security    TEXT    NOT NULL,
    detail      TEXT    NOT NULL
);
CREATE INDEX call_record_start ON call_record (start_at);
CREATE INDEX call_record_call ON call_record (call);

-- +goose Down
DROP TABLE call_record;
DROP TABLE node_state;
DROP TABLE certificate;
DROP TABLE audit;
DROP TABLE history;
DROP TABLE entity;
DROP TABLE revision;
