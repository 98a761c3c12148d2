package phone_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Conferences, barge and the lock icon with phones that talk only through the wire.

// hearing waits until each call hears the tones of all others, and not its own.
func hearing(ctx context.Context, t *testing.T, tones []float64, calls ...*phone.Call) {
	t.Helper()
	for i, c := range calls {
		c.Tone(tones[i])
	}
	for i, c := range calls {
		others := append(append([]float64(nil), tones[:i]...), tones[i+1:len(calls)]...)
		must(t, c.WaitMix(ctx, others, tones[i]))
	}
}

// connected dials and answers.
func connected(ctx context.Context, t *testing.T, a, b *phone.Phone) (*phone.Call, *phone.Call) {
	t.Helper()
	return connect(ctx, t, a, b)
}

func dialled(ctx context.Context, t *testing.T, p *phone.Phone, number string) *phone.Call {
	t.Helper()
	c, err := p.Dial(ctx, number)
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	return c
}

// TestConference: a phone joins its two calls by the code; everybody hears everybody else, over SRTP with keys of their own; who made it
// leaves, and the two others talk on directly.
func TestConference(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special"})
	})
	alice, bob, carol := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil), at(t, s, "carol", "1003", nil)
	ctx := wait(t)
	toBob, atBob := connected(ctx, t, alice, bob)
	must(t, toBob.Hold(ctx))
	toCarol, atCarol := connected(ctx, t, alice, carol)
	must(t, toCarol.Hold(ctx))
	conf := dialled(ctx, t, alice, "*30")
	tones := []float64{440, 1000, 1700}
	hearing(ctx, t, tones, conf, atBob, atCarol)
	ended(ctx, t, toBob, 200)
	ended(ctx, t, toCarol, 200)
	keys := map[string]bool{}
	for _, c := range []*phone.Call{conf, atBob, atCarol} {
		e := c.Evidence()
		if e.Suite == "" || e.RxAuth == 0 || e.Failed != 0 || !strings.HasPrefix(e.Media.Remote, s.CallManager().String()+":") {
			t.Errorf("a leg of the conference: %+v", e)
		}
		keys[e.Media.Remote] = true
		must(t, c.WaitLock(ctx, phone.LockEncrypted))
	}
	for _, c := range []*phone.Call{conf, atBob, atCarol} {
		if !c.Focus() {
			t.Error("a phone is not told that it is in a conference")
		}
	}
	if len(keys) != 3 {
		t.Errorf("the legs share streams: %v", keys)
	}
	// Conference x hold: the others go on, and hear no music.
	must(t, atBob.Hold(ctx))
	must(t, atCarol.WaitMix(ctx, tones[:1], tones[1]))
	must(t, conf.WaitMix(ctx, tones[2:], tones[1]))
	must(t, atBob.Resume(ctx))
	hearing(ctx, t, tones, conf, atBob, atCarol)
	must(t, conf.Hangup(ctx))
	both(ctx, t, atBob, atCarol)
	for _, c := range []*phone.Call{atBob, atCarol} {
		if e := c.Evidence(); strings.HasPrefix(e.Media.Remote, s.CallManager().String()+":") || e.Failed != 0 || c.Focus() {
			t.Errorf("the two that are left: conference %v, %+v", c.Focus(), e)
		}
	}
	must(t, atBob.Hangup(ctx))
	ended(ctx, t, atCarol, 200)
}

// TestLockIcon: it falls when a phone without protection joins, and comes back when that one leaves; the protected ones hear the tone.
func TestLockIcon(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.Cluster.MixedCalls = config.MixedWarn
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special", DeviceSecurityMode: config.NonSecure})
	})
	alice, bob, dave := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil), at(t, s, "dave", "1004", plainly(transport.UDP))
	ctx := wait(t)
	toBob, atBob := connected(ctx, t, alice, bob)
	for _, c := range []*phone.Call{toBob, atBob} {
		if c.Lock() != phone.LockEncrypted { // with INVITE and 200: no message of its own was needed
			t.Errorf("the lock icon of an encrypted call shows %s", c.Lock())
		}
	}
	must(t, toBob.Hold(ctx))
	toDave, atDave := connected(ctx, t, alice, dave)
	if toDave.Lock() != phone.LockNotAuthenticated {
		t.Errorf("a call with a phone in clear shows %s", toDave.Lock())
	}
	must(t, toDave.Hold(ctx))
	conf := dialled(ctx, t, alice, "*30")
	must(t, atBob.WaitLock(ctx, phone.LockNotAuthenticated))
	must(t, conf.WaitLock(ctx, phone.LockNotAuthenticated))
	hearing(ctx, t, []float64{440, 1000, 1700}, conf, atBob, atDave)
	if e := atBob.Evidence(); e.Suite == "" || e.Failed != 0 {
		t.Errorf("bob: %+v", e)
	}
	if e := atDave.Evidence(); e.Suite != "" {
		t.Errorf("dave: %+v", e)
	}
	must(t, atDave.Hangup(ctx))
	must(t, atBob.WaitLock(ctx, phone.LockEncrypted))
	must(t, conf.WaitLock(ctx, phone.LockEncrypted))
	both(ctx, t, conf, atBob)
	if got := fmt.Sprint(atBob.Locks()); got != "[Encrypted NotAuthenticated Encrypted]" {
		t.Errorf("bob's lock icon was %s", got)
	}
	// The conference for encrypted calls lets dave not in, and says why.
	in, err := dave.Dial(ctx, "8101")
	must(t, err)
	ended(ctx, t, in, 403)
	if w := in.Warning(); !strings.Contains(w, "conference 8101 is for encrypted calls only") {
		t.Errorf("dave was told %q", w)
	}
}

// TestMixedCallsRefused: what would bring plain and protected together is refused before anybody is dropped.
func TestMixedCallsRefused(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special", DeviceSecurityMode: config.NonSecure})
	})
	alice, bob := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", nil)
	at(t, s, "dave", "1004", plainly(transport.UDP))
	ctx := wait(t)
	toBob, atBob := connected(ctx, t, alice, bob)
	status, err := toBob.Transfer(ctx, "1004")
	if err != nil || status != 488 {
		t.Errorf("a transfer to a phone in clear: %d, %v", status, err)
	}
	both(ctx, t, toBob, atBob)
}

// TestMeetMe: sixteen phones meet; each hears two others that speak, and neither itself nor silence.
func TestMeetMe(t *testing.T) {
	t.Parallel()
	const parties = 16
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special"})
		for i := range parties {
			name, number := fmt.Sprintf("member%d", i), fmt.Sprintf("20%02d", i)
			c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
			c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "special", SIPProfile: "standard",
				Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
		}
	})
	ctx := wait(t)
	calls := enter(ctx, t, s, parties)
	calls[0].Tone(440)
	calls[parties-1].Tone(1700)
	must(t, calls[0].WaitMix(ctx, []float64{1700}, 440))
	for _, c := range calls[1 : parties-1] {
		must(t, c.WaitMix(ctx, []float64{440, 1700}))
	}
	for _, c := range calls {
		if e := c.Evidence(); e.Suite == "" || e.Failed != 0 || c.Lock() != phone.LockEncrypted {
			t.Errorf("a member: lock %s, %+v", c.Lock(), e)
		}
	}
	for _, c := range calls {
		must(t, c.Hangup(ctx))
	}
}

// enter has the first of the members meet at 8101, one after the other.
func enter(ctx context.Context, t *testing.T, s *lab.Site, n int) (calls []*phone.Call) {
	t.Helper()
	for i := range n {
		p := at(t, s, fmt.Sprintf("member%d", i), fmt.Sprintf("20%02d", i), nil)
		calls = append(calls, dialled(ctx, t, p, "8101"))
	}
	return calls
}

// TestBargeAndPrivacy: a phone that shares a line comes into its call, unless the one that has it wants privacy.
func TestBargeAndPrivacy(t *testing.T) {
	t.Parallel()
	s := whole(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "special"})
		for i := range c.Devices {
			if c.Devices[i].Name == "dave" { // dave's phone has carol's line, and nothing else
				c.Devices[i].Lines = []config.Appearance{{Number: "1003", Partition: "internal"}}
			}
		}
	})
	alice, carol := at(t, s, "alice", "1001", nil), at(t, s, "carol", "1003", nil)
	ctx := wait(t)
	toCarol, atCarol := connected(ctx, t, alice, carol)
	dave := at(t, s, "dave", "1003", nil)
	private := dialled(ctx, t, carol, "*34")
	ended(ctx, t, private, 200)
	refused, err := dave.Dial(ctx, "*31")
	must(t, err)
	ended(ctx, t, refused, 403)
	if w := refused.Warning(); !strings.Contains(w, "the call on carol is private") {
		t.Errorf("dave was told %q", w)
	}
	ended(ctx, t, dialled(ctx, t, carol, "*34"), 200)
	join := phone.DialOptions{Headers: []dialog.Header{{Name: "Join", Value: atCarol.Dialog().String()}, {Name: "Require", Value: "join"}}}
	joined, err := dave.DialWith(ctx, "1003", join)
	must(t, err)
	must(t, joined.WaitAnswered(ctx))
	hearing(ctx, t, []float64{440, 1000, 1700}, toCarol, atCarol, joined)
	must(t, joined.Hangup(ctx))
	both(ctx, t, toCarol, atCarol)
	barged := dialled(ctx, t, dave, "*31")
	hearing(ctx, t, []float64{440, 1000, 1700}, toCarol, atCarol, barged)
	must(t, atCarol.Hangup(ctx))
	both(ctx, t, toCarol, barged)
}
