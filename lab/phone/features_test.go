package phone_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
)

// Features of the call manager, as a phone meets them on the wire.

// three are alice, bob and carol of a site whose devices are all encrypted, edited.
func three(t *testing.T, edit func(*config.Site)) (s *lab.Site, alice, bob, carol *phone.Phone) {
	t.Helper()
	s = lampSite(t, edit)
	return s, at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil), at(t, s, "carol", "1003", nil)
}

// confirmed dials a feature code and waits until the phone shows what was done and is released.
func confirmed(ctx context.Context, t *testing.T, p *phone.Phone, code, display string) {
	t.Helper()
	c, err := p.Dial(ctx, code)
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if got := c.Connected().Display; got != display {
		t.Errorf("after %s the phone shows %q, want %q", code, got, display)
	}
	must(t, c.WaitSound(ctx))
	ended(ctx, t, c, 200)
}

// refused dials a number and sees that the refusal says why.
func refused(ctx context.Context, t *testing.T, p *phone.Phone, number string, status int, why string) {
	t.Helper()
	c, err := p.Dial(ctx, number)
	must(t, err)
	ended(ctx, t, c, status)
	if !strings.Contains(c.Warning(), why) {
		t.Errorf("%s was refused with %q, want %q", number, c.Warning(), why)
	}
}

func TestPark(t *testing.T) {
	t.Parallel()
	_, alice, bob, carol := three(t, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, alice, bob)
	refused(ctx, t, carol, "*35", 481, "no call on hold")
	must(t, cb.Hold(ctx))
	must(t, ca.WaitHeld(ctx, true))
	confirmed(ctx, t, bob, "*35", "Parked at 7000")
	ended(ctx, t, cb, 200)
	must(t, ca.WaitConnected(ctx, "7000"))
	must(t, ca.WaitSound(ctx)) // music, on streams with keys of their own
	refused(ctx, t, carol, "7001", 404, "nobody is parked at 7001")
	cc, err := carol.Dial(ctx, "7000")
	must(t, err)
	must(t, cc.WaitAnswered(ctx))
	must(t, ca.WaitConnected(ctx, "1003"))
	both(ctx, t, ca, cc)
	for _, c := range []*phone.Call{ca, cc} {
		if e := c.Evidence(); !e.Verified || e.RxAuth == 0 {
			t.Errorf("after the park the media is %+v", e)
		}
	}
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cc, 200)
}

// A transfer to a park number parks there; the reminder rings the phone that parked, and a directed number parks what is on hold.
func TestParkReminderAndDirected(t *testing.T) {
	t.Parallel()
	_, alice, bob, carol := three(t, func(c *config.Site) {
		c.ParkNumbers = []config.ParkNumber{{Pattern: "700X", Partition: "features", Reminder: config.Duration(time.Second)},
			{Pattern: "7050", Partition: "features", Directed: true}}
	})
	ctx := wait(t)
	ca, cb := connect(ctx, t, alice, bob)
	status, err := cb.Transfer(ctx, "7003")
	if err != nil || status != 200 || cb.TransferLine() != "SIP/2.0 200 Parked at 7003" {
		t.Errorf("the transfer ended with %d %q, %v", status, cb.TransferLine(), err)
	}
	ended(ctx, t, cb, 200)
	again := incoming(ctx, t, bob)
	if from := again.From().URI.User; from != "1001" {
		t.Errorf("the reminder is from %s", from)
	}
	must(t, again.Answer(ctx))
	must(t, ca.WaitConnected(ctx, "1002"))
	both(ctx, t, ca, again)
	must(t, again.Hold(ctx))
	confirmed(ctx, t, bob, "7050", "Parked at 7050")
	ended(ctx, t, again, 200)
	cc, err := carol.Dial(ctx, "7050")
	must(t, err)
	must(t, cc.WaitAnswered(ctx))
	both(ctx, t, ca, cc)
	must(t, cc.Hangup(ctx))
	ended(ctx, t, ca, 200)
}

// Pickup by the code, and by the key of a busy lamp (RFC 3891 with the dialog that rings).
func TestPickup(t *testing.T) {
	t.Parallel()
	_, alice, bob, carol := three(t, nil)
	for _, how := range []string{"*37", "*371002", "replaces"} {
		ctx := wait(t)
		cc, err := carol.Dial(ctx, "1002")
		must(t, err)
		cb := incoming(ctx, t, bob)
		must(t, cc.WaitRinging(ctx))
		var options phone.DialOptions
		number := how
		if how == "replaces" {
			name := cb.Dialog()
			number, options.Replaces = "1002", &name
		}
		ca, err := alice.DialWith(ctx, number, options)
		must(t, err)
		must(t, ca.WaitAnswered(ctx))
		must(t, cc.WaitAnswered(ctx))
		must(t, cc.WaitConnected(ctx, "1001"))
		must(t, ca.WaitConnected(ctx, "1003"))
		ended(ctx, t, cb, 487)
		both(ctx, t, ca, cc)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, cc, 200)
	}
	ctx := wait(t)
	refused(ctx, t, alice, "*37", 404, "nothing rings")
	refused(ctx, t, carol, "*37", 403, "in no pickup group")
}

// A call that one phone of a line holds goes on at another one.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := lampSite(t, func(c *config.Site) {
		deviceOf(c, "dave").Lines = append([]config.Appearance{{Number: "1003", Partition: "internal"}}, deviceOf(c, "dave").Lines...)
	})
	alice, carol, dave := at(t, s, "alice", "1001", nil), at(t, s, "carol", "1003", nil), at(t, s, "dave", "1003", nil)
	ctx := wait(t)
	ca, err := alice.Dial(ctx, "1003")
	must(t, err)
	cc := incoming(ctx, t, carol)
	must(t, cc.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	refused(ctx, t, dave, "*36", 481, "no other phone holds")
	must(t, cc.Hold(ctx))
	must(t, ca.WaitHeld(ctx, true))
	cd, err := dave.Dial(ctx, "*36")
	must(t, err)
	must(t, cd.WaitAnswered(ctx))
	ended(ctx, t, cc, 200)
	both(ctx, t, ca, cd)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cd, 200)
}

// A transfer to a phone that still rings, and one whose transferor has hung up before it failed.
func TestTransfersOfAllKinds(t *testing.T) {
	t.Parallel()
	_, alice, bob, carol := three(t, nil)
	t.Run("still ringing", func(t *testing.T) {
		ctx := wait(t)
		ca, cb := connect(ctx, t, alice, bob)
		must(t, cb.Hold(ctx))
		consult, err := bob.Dial(ctx, "1003")
		must(t, err)
		cc := incoming(ctx, t, carol)
		must(t, consult.WaitRinging(ctx))
		done := make(chan int, 1)
		go func() {
			status, _ := cb.TransferTo(ctx, consult)
			done <- status
		}()
		_, _, err = consult.WaitEnded(ctx)
		must(t, err)
		must(t, cc.Answer(ctx))
		if status := <-done; status != 200 {
			t.Errorf("the transfer ended with %d", status)
		}
		must(t, ca.WaitConnected(ctx, "1003"))
		must(t, cc.WaitConnected(ctx, "1001"))
		both(ctx, t, ca, cc)
		must(t, cc.Hangup(ctx))
		ended(ctx, t, ca, 200)
	})
	t.Run("recall", func(t *testing.T) {
		ctx := wait(t)
		ca, cb := connect(ctx, t, alice, bob)
		go func() { _, _ = cb.Transfer(ctx, "1003") }()
		cc := incoming(ctx, t, carol)
		must(t, cb.Hangup(ctx))
		cc.Reject(486)
		back := incoming(ctx, t, bob)
		must(t, back.Answer(ctx))
		must(t, ca.WaitConnected(ctx, "1002"))
		both(ctx, t, ca, back)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, back, 200)
	})
	t.Run("fails", func(t *testing.T) {
		ctx := wait(t)
		ca, cb := connect(ctx, t, alice, bob)
		status, err := cb.Transfer(ctx, "*35123")
		if err != nil || status != 404 || !strings.Contains(cb.TransferLine(), "123 is no park number") {
			t.Errorf("the transfer ended with %d %q, %v", status, cb.TransferLine(), err)
		}
		both(ctx, t, ca, cb)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, cb, 200)
	})
}

// Who holds decides what is heard: the music of bob's line, and of alice's device pool.
func TestMusicOfLineAndDevice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record := func(name string, hz float64) {
		pcm := make([]int16, 8000)
		_, err := tone.NewSine(hz, -10).ReadPCM(pcm)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), wav.Append(nil, pcm), 0o600))
	}
	record("line.wav", 600)
	record("pool.wav", 800)
	_, alice, bob, _ := three(t, func(c *config.Site) {
		c.MusicOnHold = append(c.MusicOnHold, config.MusicOnHold{Name: "line", File: filepath.Join(dir, "line.wav")}, config.MusicOnHold{Name: "pool", File: filepath.Join(dir, "pool.wav")})
		for i := range c.Lines {
			if c.Lines[i].Number == "1002" {
				c.Lines[i].MusicOnHold = "line"
			}
		}
		c.DevicePools[0].MusicOnHold = "pool"
	})
	ctx := wait(t)
	ca, cb := connect(ctx, t, alice, bob)
	must(t, cb.Hold(ctx))
	hears(ctx, t, ca, 600)
	must(t, cb.Resume(ctx))
	must(t, ca.WaitHeld(ctx, false))
	must(t, ca.Hold(ctx))
	hears(ctx, t, cb, 800)
	must(t, cb.Hangup(ctx))
	ended(ctx, t, ca, 200)
}
