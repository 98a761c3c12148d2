package appleg

import (
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/leg/describe"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// exchangeSite is one phone that may call the test numbers.
func exchangeSite(t *testing.T) *call.Config {
	t.Helper()
	c, err := call.Site{
		Devices: []call.Device{{Name: "alice", Driver: "sip"}},
		Lines:   []call.Line{{ID: call.LineID{Number: "2001"}, Appearances: []call.Appearance{{Device: "alice"}}}},
		Applets: []call.Applet{{Name: "echo", Driver: "applet"}},
		Plan:    dialplan.Rules{Patterns: []dialplan.Pattern{{Digits: "*1", Kind: dialplan.ToApplet, To: "echo"}}},
	}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestThroughEngine: a phone calls the echo test through the real engine and the real media plane, hears itself over SRTP, holds,
// resumes with new keys, hears itself again, and ends the test with #.
func TestThroughEngine(t *testing.T) {
	host := live.Start(live.Options{})
	defer host.Close()
	plane := media.NewPlane(media.PlaneConfig{})
	defer plane.Close()
	if err := host.Configure(exchangeSite(t)); err != nil {
		t.Fatal(err)
	}
	applets, err := host.Attach("applet", 0)
	if err != nil {
		t.Fatal(err)
	}
	sip, err := host.Attach("sip", 0)
	if err != nil {
		t.Fatal(err)
	}
	driver := Start(Config{Engine: applets, Plane: plane})
	defer driver.Close()

	phone, err := media.OpenStream(media.StreamConfig{Caps: desc.Caps{Security: desc.Required}})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	heard := &ear{}
	phone.Record(heard)
	phone.Start(tone.NewSine(700, -10))

	leg := sip.NewLeg()
	plane.AddLeg(media.LegID(leg), media.Profile{})
	defer plane.RemoveLeg(media.LegID(leg))
	offer := func() call.Desc {
		t.Helper()
		text, err := phone.Offer()
		if err != nil {
			t.Fatal(err)
		}
		d, err := describe.Put(plane, leg, call.KindOffer, text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	accept := func(m call.Media) {
		t.Helper()
		text, err := describe.Make(plane, leg, m)
		if err == nil {
			err = phone.Accept(text)
		}
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
	}
	signal := func(s call.Signal) {
		t.Helper()
		if err := sip.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	next := func() call.Command {
		t.Helper()
		select {
		case c := <-sip.Commands():
			return c
		case <-time.After(5 * time.Second):
			t.Fatal("no command")
		}
		return nil
	}

	signal(call.Setup{Leg: leg, Device: "alice", Called: "*1", Desc: offer(), Hops: 70})
	a, ok := next().(call.Answer)
	if !ok || a.Media.Kind != call.KindAnswer || a.Media.Security != call.SRTP {
		t.Fatalf("%+v", a)
	}
	accept(a.Media)
	hears(t, heard, 700)

	phone.SetDirection(sdp.SendOnly)
	d := offer()
	if d.Dir != call.SendOnly {
		t.Fatalf("%v", d)
	}
	signal(call.Reoffered{Leg: leg, Desc: d})
	accept(next().(call.AnswerReoffer).Media)

	phone.SetDirection(sdp.SendRecv)
	phone.Rekey()
	signal(call.Reoffered{Leg: leg, Desc: offer()})
	accept(next().(call.AnswerReoffer).Media)
	phone.Start(tone.NewSine(440, -10))
	hears(t, heard, 440)
	if e := phone.Evidence(); e.Suite == sdp.NoSuite || e.Rx.Authenticated == 0 || e.Rx.Failed != 0 {
		t.Errorf("%+v", e)
	}

	phone.Start(nil)
	if _, err := phone.SendDigits("#"); err != nil {
		t.Fatal(err)
	}
	if r, ok := next().(call.Release); !ok || r.Cause != call.NormalClearing {
		t.Errorf("%+v", r)
	}
}
