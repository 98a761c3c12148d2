package call

import (
	"os"
	"strings"
	"testing"
)

// TestPairs sees that every pair of features that can meet in one call has its script, which says who wins and why.
func TestPairs(t *testing.T) {
	for _, pair := range []string{
		"transfer_shared_line", "park_forward", "hunt_busy_trigger", "pickup_shared_line",
		"transfer_encrypted_to_plain", "pickup_hunt_broadcast", "transfer_park", "forward_hunt", "forward_dnd", "dnd_shared_line",
		"take_over_privacy", "hold_take_over", "pickup_forward_no_answer", "auto_answer_call_waiting", "emergency_blockers",
		"reminder_busy_parker", "conference_hold", "barge_privacy", "park_conference", "transfer_conference", "barge_hold",
	} {
		b, err := os.ReadFile("testdata/pair_" + pair + ".txt")
		text := string(b)
		if err != nil || !strings.HasPrefix(text, "# ") || strings.Count(text, "----") < 2 || !strings.Contains(text, "<- ") {
			t.Errorf("the pair %s has no script, or one that says nothing: %v", pair, err)
		}
	}
}
