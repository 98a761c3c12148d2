-- +goose Up
CREATE TABLE document (
    collection TEXT   NOT NULL,
    key        TEXT   COLLATE "C" NOT NULL,
    revision   BIGINT NOT NULL, -- rises with every change, also over a removal
    at         BIGINT NOT NULL,
    value      TEXT   NOT NULL, -- JSON
    PRIMARY KEY (collection, key)
);

-- +goose Down
DROP TABLE document;
