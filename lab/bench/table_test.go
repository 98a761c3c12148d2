package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run of some rows leaves the other rows of the page as they were, with the command that measured them.
func TestWriteKeepsOtherRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	page := "before " + begin + "\n" + end + " after\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(command string, rows ...string) string {
		all := table{Command: command, Date: "2026-01-01"}
		for _, name := range rows {
			all.row(name, "us", "").add("locktone", float64(len(command)))
		}
		if err := all.write(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	write("first", "call", "transfer")
	text := write("the second", "transfer")
	for _, want := range []string{"`first`", "| call | us | 5 |", "`the second`", "| transfer | us | 10 |", "before " + begin, end + " after"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "| transfer |") != 1 || strings.Count(text, "| measure |") != 2 {
		t.Errorf("a row stands twice, or a table is missing:\n%s", text)
	}
	if text = write("third", "call", "transfer"); strings.Contains(text, "first") || strings.Count(text, "Measured on") != 1 {
		t.Errorf("tables without rows are left:\n%s", text)
	}
}
