package call

import (
	"fmt"
	"os"
	"regexp"
	"slices"
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
		"deliver_guard", "deliver_transfer", "deliver_hold", "deliver_conference", "join_hold", "join_transfer", "join_deliver", "join_guard",
	} {
		b, err := os.ReadFile("testdata/pair_" + pair + ".txt")
		text := string(b)
		if err != nil || !strings.HasPrefix(text, "# ") || strings.Count(text, "----") < 2 || !strings.Contains(text, "<- ") {
			t.Errorf("the pair %s has no script, or one that says nothing: %v", pair, err)
		}
	}
}

// TestOrderIsDocumented holds docs/features.md against the list: every feature in its place, with a reason.
func TestOrderIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "## Who sees an input first")
	var documented, listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.+) \\|$").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	for _, f := range features {
		listed = append(listed, strings.TrimPrefix(fmt.Sprintf("%T", f), "call."))
	}
	if !slices.Equal(documented, listed) {
		t.Errorf("docs/features.md has the order\n%v\nand the engine\n%v", documented, listed)
	}
}
