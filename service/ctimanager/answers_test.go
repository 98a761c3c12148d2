package ctimanager

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// TestAnswersAreAll: every request of the protocol stands in the table, once, and either somebody answers it or it has an error.
func TestAnswersAreAll(t *testing.T) {
	seen := map[ctiqbe.PDU]bool{}
	for _, a := range answers() {
		if seen[a.pdu] {
			t.Errorf("%v stands twice in the table", a.pdu)
		}
		seen[a.pdu] = true
		if (a.handle == nil) == (a.refuse == ctiqbe.OK) || a.handle == nil && a.why == "" {
			t.Errorf("%v: want a handler, or an error with a reason", a.pdu)
		}
	}
	for _, pdu := range ctiqbe.All() {
		if pdu.Direction() == ctiqbe.FromClient && !seen[pdu] {
			t.Errorf("%v (%d) has no answer", pdu, uint32(pdu))
		}
	}
}

var update = flag.Bool("update", false, "write docs/cti-answers.md")

// TestAnswersDocument: docs/cti-answers.md is what the table says of all numbers.
func TestAnswersDocument(t *testing.T) {
	const file = "../../docs/cti-answers.md"
	var b bytes.Buffer
	b.WriteString("# Every PDU of CTIQBE, and what becomes of it\n\nMade from the table of service/ctimanager by `go test ./service/ctimanager -update`. What the CTI manager sends is " +
		"sent when there is something to say;\na client that sends it is answered `INVALID_REQUEST`, one that sends an unknown number `UNRECOGNIZABLE_PDU`.\n\n| PDU | Name | Sent by | Answer |\n|---|---|---|---|\n")
	table := newAnswerTable()
	for _, pdu := range ctiqbe.All() {
		by, what := "server", ""
		if pdu.Direction() != ctiqbe.FromServer {
			by = "client"
		}
		switch a, ok := table[pdu]; {
		case ok && a.handle != nil:
			what = "done"
		case ok:
			what = fmt.Sprintf("`%v` (%#x): %s", a.refuse, uint32(a.refuse), a.why)
		case pdu.Direction() == ctiqbe.FromBoth:
			by, what = "both", "taken"
		}
		fmt.Fprintf(&b, "| %d | %v | %s | %s |\n", uint32(pdu), pdu, by, what)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the table says (%v): go test ./service/ctimanager -update", file, err)
	}
}
