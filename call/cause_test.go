package call

import "testing"

// RFC 3398, 7.2.4.1: SIP status to cause, row by row (those with a plain mapping).
func TestCauseFromSIP(t *testing.T) {
	for status, want := range map[int]int{
		400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127,
		423: 127, 482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1,
		// A status nobody knows counts as the x00 of its class (RFC 3261, 8.1.3.2).
		499: 41, 599: 41, 699: 17, 399: 127,
	} {
		if got := CauseFromSIP(status).Q850(); got != want {
			t.Errorf("%d: cause %d, want %d", status, got, want)
		}
	}
	// RFC 3398 says 18 for 480.
	if CauseFromSIP(480) != NoUserResponding {
		t.Error(CauseFromSIP(480))
	}
}

// RFC 3398, 8.2.6.1: cause to SIP status.
func TestCauseSIP(t *testing.T) {
	for cause, want := range map[Cause]int{
		1: 404, 2: 404, 3: 404, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 26: 404, 27: 502, 28: 484, 29: 501, 31: 480,
		34: 503, 38: 503, 41: 503, 42: 503, 47: 503, 55: 403, 57: 403, 58: 503, 65: 488, 70: 488, 79: 501, 87: 403, 88: 503, 102: 504, 111: 500, 127: 500,
		// Without a row: the default of the class.
		5: 480, 44: 503, 99: 500,
		RequestPending: 491, SecurityMismatch: 488, NoSuchCall: 481, CallerCancelled: 487, Overloaded: 503, LoopDetected: 482,
	} {
		if got := cause.SIP(); got != want {
			t.Errorf("%v: %d, want %d", cause, got, want)
		}
	}
}

func TestCauseText(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range causeTable {
		b, _ := r.cause.MarshalText()
		var back Cause
		if err := back.UnmarshalText(b); err != nil || back != r.cause || seen[string(b)] {
			t.Errorf("%s: %v %v, or used twice", b, back, err)
		}
		seen[string(b)] = true
		if r.q850 < 1 || r.q850 > 127 || r.sip < 400 || r.sip > 699 {
			t.Errorf("%s: Q.850 %d, SIP %d", b, r.q850, r.sip)
		}
	}
	var c Cause
	if c.UnmarshalText([]byte("cause 99")) != nil || c != 99 || c.UnmarshalText([]byte("17")) != nil || c != UserBusy {
		t.Error(c)
	}
	if c.UnmarshalText([]byte("bad luck")) == nil {
		t.Error("a name nobody knows was read")
	}
	if CauseFromQ850(17) != UserBusy || CauseFromQ850(0) != InterworkingUnspecified || CauseFromQ850(300) != InterworkingUnspecified {
		t.Error("CauseFromQ850")
	}
}
