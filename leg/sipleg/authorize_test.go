package sipleg

import (
	"testing"

	"github.com/locktone/locktone/wire/sip"
)

// TestNoAnswerWithoutProof: credentials are not shown to a peer that has not proven its name, unless its profile says so.
func TestNoAnswerWithoutProof(t *testing.T) {
	asked := 0
	p := &Profile{Authorize: func(_, _ *sip.Message) bool { asked++; return true }}
	l := &leg{profile: p}
	if l.authorize(nil, nil) || asked != 0 {
		t.Error("a peer without a connection that was verified is answered")
	}
	p.AuthorizeInClear = true
	if !l.authorize(nil, nil) || asked != 1 {
		t.Error("a peer that is non-secure by exception is not answered")
	}
}
