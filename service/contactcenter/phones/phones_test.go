package phones

import (
	"encoding/json"
	"testing"
)

// TestPictureReadsBack: what desktops are told of a phone, a program in Go reads with the same types.
func TestPictureReadsBack(t *testing.T) {
	for state := range stateNames {
		b, err := json.Marshal(Call{State: State(state)})
		if err != nil {
			t.Fatal(err)
		}
		var got Call
		if err := json.Unmarshal(b, &got); err != nil || got.State != State(state) {
			t.Errorf("%s is read back as %v: %v", b, got.State, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"state":"asleep"}`), &Call{}); err == nil {
		t.Error("an unknown state is taken")
	}
}
