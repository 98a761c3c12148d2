package lab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/store"
)

// TestRecordsOfACall: a call of two phones leaves a record of the call and one of each leg, with what was verified and what the
// connection and the media were.
func TestRecordsOfACall(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	site, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close(ctx)
	alice, err := site.Registered(ctx, "alice", "1001")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close(ctx)
	bob, err := site.Registered(ctx, "bob", "1002")
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close(ctx)
	a, err := alice.Dial(ctx, "1002")
	if err != nil {
		t.Fatal(err)
	}
	b := <-bob.Incoming()
	if err := b.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	var legs []store.LegRecord
	for len(legs) < 2 && ctx.Err() == nil { // nothing announces a row
		time.Sleep(50 * time.Millisecond)
		if legs, err = site.Store.Legs(ctx, store.CallQuery{Oldest: true}); err != nil {
			t.Fatal(err)
		}
	}
	calls, err := site.Store.Calls(ctx, store.CallQuery{})
	if err != nil || len(calls) != 1 || calls[0].Security != "encrypted" || calls[0].ReleasedBy != "called" || calls[0].Cause != 16 {
		t.Fatalf("%+v, %v", calls, err)
	}
	for _, l := range legs {
		if l.Call != calls[0].Call || l.Outcome != "answered" || l.Lock != "encrypted" || l.LockReason != "" || l.Signalling != "mutual" || l.Media != "srtp" ||
			!strings.HasPrefix(l.Cipher, "TLS 1.") || l.Suite == "" || l.Codec == "" || l.Path != "direct" || l.Answer.Before(l.Setup) || l.End.Before(l.Answer) {
			t.Errorf("%+v", l)
		}
		if by := map[string]string{"alice": "other", "bob": "leg"}[l.Device]; by != l.ReleasedBy {
			t.Errorf("%s was released by %s, want %s", l.Device, l.ReleasedBy, by)
		}
	}
	if len(legs) != 2 {
		t.Errorf("%d legs", len(legs))
	}
}
