package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the tests get into testdata")

// TestBadFiles reads every file of testdata/bad: a site, a line ----, and what
// a person is told about it.
func TestBadFiles(t *testing.T) {
	golden(t, "testdata/bad/*.txt", func(in string) string {
		s, err := Parse("site.yaml", []byte(in), nil)
		if err == nil {
			return "accepted\n"
		}
		if s != nil {
			t.Error("a site came with an error")
		}
		return err.Error() + "\n"
	})
}

// TestBadNodeFiles does the same for a node's configuration.
func TestBadNodeFiles(t *testing.T) {
	golden(t, "testdata/badnode/*.txt", func(in string) string {
		if _, err := ParseNode("node.yaml", []byte(in)); err != nil {
			return err.Error() + "\n"
		}
		return "accepted\n"
	})
}

// TestFormatted reads a site and prints it as Format writes it.
func TestFormatted(t *testing.T) {
	golden(t, "testdata/format/*.txt", func(in string) string {
		s, err := Parse("site.yaml", []byte(in), nil)
		if err != nil {
			return err.Error() + "\n"
		}
		return string(Format(s, false))
	})
}

func golden(t *testing.T, pattern string, f func(in string) string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(data), "----\n")
			got := f(in)
			if *update {
				if err := os.WriteFile(file, []byte(in+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
