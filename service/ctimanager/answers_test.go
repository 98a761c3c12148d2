package ctimanager

import (
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
