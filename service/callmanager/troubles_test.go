package callmanager

import "testing"

// TestTroubles: what is mended takes its own sentence away and no other.
func TestTroubles(t *testing.T) {
	var x troubles
	x.set(aboutRecords, "the disk is full")
	x.set(aboutConfiguration, "the port is taken")
	x.set(aboutRecords, "the disk is still full")
	if got := x.text(); got != "the port is taken; the disk is still full" {
		t.Error(got)
	}
	x.set(aboutRecords, "")
	if got := x.text(); got != "the port is taken" {
		t.Error(got)
	}
	x.set(aboutConfiguration, "")
	x.set(aboutConfiguration, "")
	if got := x.text(); got != "" {
		t.Error(got)
	}
}
