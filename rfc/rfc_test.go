package rfc

import (
	"flag"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/rfc-status.md")

// TestReferences holds every mention in a comment of the tree against the index, and the index against the tree.
func TestReferences(t *testing.T) {
	all, err := Index()
	if err != nil {
		t.Fatal(err)
	}
	where := map[int][]string{}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "var") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasPrefix(path, filepath.Join("..", "rfc")) {
			checkFile(t, path, all, where)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, s := range all {
		if s.State != Read && len(where[n]) == 0 {
			t.Errorf("RFC %d is %s in the index, and no comment names it: say where it is done, or call it read", n, s.State)
		}
	}
	status := filepath.Join("..", "docs", "rfc-status.md")
	want := StatusTable(all, where)
	if *update {
		if err := os.WriteFile(status, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(status); err != nil || string(got) != want {
		t.Errorf("docs/rfc-status.md is not what the index and the code say (%v): go test ./rfc -update", err)
	}
}

func checkFile(t *testing.T, path string, all map[int]Standard, where map[int][]string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		t.Error(err)
		return
	}
	place := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), ".."+string(filepath.Separator)))
	for _, group := range file.Comments {
		for _, c := range group.List {
			for _, r := range References(c.Text) {
				if wrong := Check(all, r); wrong != "" {
					t.Errorf("%s: %s", set.Position(c.Pos()), wrong)
				}
				if !strings.HasSuffix(path, "_test.go") && !slices.Contains(where[r.Number], place) {
					where[r.Number] = append(where[r.Number], place)
				}
			}
		}
	}
}

func TestCheckFindsMistakes(t *testing.T) {
	all, err := Index()
	if err != nil {
		t.Fatal(err)
	}
	for text, wrong := range map[string]bool{
		"RFC 3261, 17.2.1: the sentence": false, "RFC 3261, 99.1": true, "RFC 4568": false,
		"RFC 99999, 3": true, "RFC 3261 section 8.2": false, "RFC 3264, 40": true,
	} {
		refs := References(text)
		if len(refs) != 1 {
			t.Fatalf("%q: %d references, want one", text, len(refs))
		}
		if got := Check(all, refs[0]); (got != "") != wrong {
			t.Errorf("%q: %q", text, got)
		}
	}
}
