-- +goose Up
CREATE TABLE document (
    collection TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    revision   INTEGER NOT NULL, -- rises with every change, also over a removal
    at         INTEGER NOT NULL,
    value      TEXT    NOT NULL, -- JSON
    PRIMARY KEY (collection, key)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE document;
