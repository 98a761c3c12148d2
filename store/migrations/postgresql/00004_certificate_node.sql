-- +goose Up
ALTER TABLE certificate ADD COLUMN node TEXT NOT NULL DEFAULT ''; -- of a service; the entry in doc has it too
CREATE INDEX certificate_node ON certificate (node);

-- +goose Down
DROP INDEX certificate_node;
ALTER TABLE certificate DROP COLUMN node;
