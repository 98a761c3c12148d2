package store

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// The schema up to which migrations ran with all nodes stopped: there were no clusters before.
const beforeClusters = 4

var harmless = regexp.MustCompile(`(?i)^(CREATE TABLE |CREATE INDEX |ALTER TABLE \w+ ADD COLUMN \w+ [A-Z]+( NOT NULL DEFAULT ('[^']*'|-?\d+))?$)`)

// forMixed is the first statement of a migration's way up that a node with the earlier program may not survive, "" where there is none.
func forMixed(migration string) string {
	up, _, _ := strings.Cut(migration, "-- +goose Down")
	_, up, _ = strings.Cut(up, "-- +goose Up")
	up = regexp.MustCompile(`--[^\n]*`).ReplaceAllString(up, "")
	for statement := range strings.SplitSeq(up, ";") {
		statement = strings.Join(strings.Fields(statement), " ")
		if statement != "" && !harmless.MatchString(statement) {
			return statement
		}
	}
	return ""
}

// TestMigrationsForMixedClusters: in a rolling upgrade the first node with the new program migrates the record while nodes with the
// earlier one read and write it. So a migration may add tables, indexes and columns that are empty or have a default, and nothing
// else: what goes or changes its meaning takes two releases (docs/backup.md).
func TestMigrationsForMixedClusters(t *testing.T) {
	paths, err := fs.Glob(migrations, "migrations/*/*.sql")
	if err != nil || len(paths) < 2*beforeClusters {
		t.Fatal(paths, err)
	}
	for i, path := range paths {
		if i%(len(paths)/2) < beforeClusters { // sorted by engine and number
			continue
		}
		text, err := fs.ReadFile(migrations, path)
		if err != nil {
			t.Fatal(err)
		}
		if s := forMixed(string(text)); s != "" {
			t.Errorf("%s: a node with the earlier program may not survive %q", path, s)
		}
	}
	for migration, safe := range map[string]bool{
		"-- +goose Up\nCREATE TABLE a (b TEXT NOT NULL); -- why\nCREATE INDEX x ON a (b);\n-- +goose Down\nDROP TABLE a;": true,
		"-- +goose Up\nALTER TABLE a ADD COLUMN c BIGINT NOT NULL DEFAULT 0;":                                             true,
		"-- +goose Up\nALTER TABLE a ADD COLUMN c TEXT NOT NULL DEFAULT ''; -- ; \n":                                      true,
		"-- +goose Up\nALTER TABLE a ADD COLUMN c TEXT;":                                                                  true,
		"-- +goose Up\nALTER TABLE a ADD COLUMN c TEXT NOT NULL;":                                                         false,
		"-- +goose Up\nALTER TABLE a DROP COLUMN c;":                                                                      false,
		"-- +goose Up\nALTER TABLE a RENAME COLUMN c TO d;":                                                               false,
		"-- +goose Up\nCREATE UNIQUE INDEX x ON a (b);":                                                                   false,
		"-- +goose Up\nUPDATE a SET b = 1;":                                                                               false,
		"-- +goose Up\nDROP TABLE a;":                                                                                     false,
	} {
		if s := forMixed(migration); (s == "") != safe {
			t.Errorf("%q: safe %v, stumbles over %q", migration, safe, s)
		}
	}
}
