// Command gendoc prints the table of elements into docs/wire/phonexml.md, between two marks, so that the specification cannot
// differ from what is written. A test of package phonexml fails when it does.
package main

import (
	"fmt"
	"os"

	"github.com/locktone/locktone/wire/phonexml"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: gendoc FILE")
	}
	b, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	text, err := phonexml.InsertTable(string(b))
	if err != nil {
		return err
	}
	return os.WriteFile(os.Args[1], []byte(text), 0o644)
}
