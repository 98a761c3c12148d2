package live

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
)

func TestHostCopies(t *testing.T) {
	r := open(t, Options{})
	r.signal(setup(1, "2002"))
	_ = r.next().(call.Ring)
	e, err := r.Copy(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if calls, legs := e.Load(); calls != 1 || legs != 2 {
		t.Errorf("%d calls, %d legs in the copy", calls, legs)
	}
	e.Step(time.Now(), call.Input{Driver: "sip", Signal: call.DriverLost{Driver: "sip"}})
	if views, err := r.Calls(context.Background()); err != nil || len(views) != 1 {
		t.Errorf("%d calls, %v: what was done to the copy has happened to the original", len(views), err)
	}
}
