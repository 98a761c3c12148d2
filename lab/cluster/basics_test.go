package cluster

import (
	"testing"

	"github.com/locktone/locktone/lab/phone"
)

// TestCalls: every node's phones reach those of every node.
func TestCalls(t *testing.T) {
	c := start(t, 6)
	defer c.tell(t)
	phones := make([]*phone.Phone, 6)
	for i := range phones {
		phones[i] = c.phone(t, i)
	}
	for from := range names {
		for to := range names {
			a, b := connect(t, phones[from], phones[3+to])
			ok(t, a.Hangup(within(t)))
			if _, _, err := b.WaitEnded(within(t)); err != nil {
				t.Error(err)
			}
		}
	}
}
