-- +goose Up
CREATE TABLE revision (
    number  INTEGER PRIMARY KEY,
    author  TEXT    NOT NULL,
    at      INTEGER NOT NULL, -- microseconds since 1970, as every time here
    comment TEXT    NOT NULL,
    changes INTEGER NOT NULL
);
CREATE TABLE entity (
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    doc      TEXT    NOT NULL, -- JSON without secrets
    secret   TEXT    NOT NULL, -- JSON object: field path to hash; empty for none
    revision INTEGER NOT NULL REFERENCES revision (number),
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE history (
    revision   INTEGER NOT NULL REFERENCES revision (number),
    seq        INTEGER NOT NULL,
    op         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    before_doc TEXT    NOT NULL,
    doc        TEXT    NOT NULL,
    secret     TEXT    NOT NULL,
    PRIMARY KEY (revision, seq)
) WITHOUT ROWID;
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    source TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT    NOT NULL,
    result TEXT    NOT NULL,
    detail TEXT    NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE TABLE certificate (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    issuer    TEXT    NOT NULL,
    serial    TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    not_after INTEGER NOT NULL,
    revoked   INTEGER NOT NULL, -- 0: not revoked
    doc       TEXT    NOT NULL, -- JSON of the register's entry
    UNIQUE (issuer, serial)
);
CREATE TABLE node_state (
    node  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value BLOB    NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (node, key)
) WITHOUT ROWID;
CREATE TABLE call_record (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    call        TEXT    NOT NULL,
    node        TEXT    NOT NULL,
    start_at    INTEGER NOT NULL,
    answer_at   INTEGER NOT NULL, -- 0: never answered
    end_at      INTEGER NOT NULL,
    calling     TEXT    NOT NULL,
    called      TEXT    NOT NULL,
    dialled     TEXT    NOT NULL,
    from_device TEXT    NOT NULL,
    to_device   TEXT    NOT NULL,
    cause       INTEGER NOT NULL,
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
