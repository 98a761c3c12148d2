package phone

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transport"
)

// plainPair is two phones without a call manager: b is a's server.
func plainPair(t *testing.T, edit func(*Config)) (context.Context, *Phone, *Phone) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	start := func(number, server string, edit func(*Config)) *Phone {
		cfg := Config{Number: number, Server: server, Network: transport.UDP, NoRegister: true, Security: desc.Forbidden}
		if edit != nil {
			edit(&cfg)
		}
		p, err := Start(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close(context.Background()) })
		return p
	}
	b := start("1002", "127.0.0.1:9", edit)
	return ctx, start("1001", b.local.String(), nil), b
}

func dialWith(ctx context.Context, t *testing.T, a, b *Phone, o DialOptions) (*Call, *Call) {
	t.Helper()
	ca, err := a.DialWith(ctx, "1002", o)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case cb := <-b.Incoming():
		return ca, cb
	case <-ctx.Done():
		t.Fatal("no call arrives")
		return nil, nil
	}
}

func TestToldOfACall(t *testing.T) {
	t.Parallel()
	ctx, a, b := plainPair(t, nil)
	ca, cb := dialWith(ctx, t, a, b, DialOptions{Headers: []dialog.Header{
		{Name: "Call-Info", Value: "<urn:x-cisco-remotecc:callinfo>; security= Encrypted; orientation= from"},
		{Name: "Diversion", Value: `<sip:1009@locktone.test>;reason=user-busy;counter=1`},
		{Name: "History-Info", Value: `<sip:1009@locktone.test?Reason=SIP%3Bcause%3D486>;index=1`},
		{Name: "History-Info", Value: `<sip:1002@locktone.test>;index=1.1`},
	}})
	if err := cb.WaitLock(ctx, LockEncrypted); err != nil {
		t.Error(err)
	}
	if d := cb.Diversions(); len(d) != 1 || d[0].Address.URI.User != "1009" || d[0].Reason != "user-busy" {
		t.Errorf("diversions: %+v", d)
	}
	if h := cb.History(); len(h) != 2 || h[0].Reason.Cause != 486 {
		t.Errorf("history: %+v", h)
	}
	if cb.AnswerAsked() {
		t.Error("nobody asked for an answer")
	}
	cb.Reject(480)
	if status, _, err := ca.WaitEnded(ctx); status != 480 {
		t.Errorf("ended with %d, want 480 (%v)", status, err)
	}
}

func TestLockWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Lock{
		"<urn:x-cisco-remotecc:callinfo>;security=NotAuthenticated":   LockNotAuthenticated,
		"<urn:X-cisco-remotecc:callinfo>; Security = authenticated":   LockAuthenticated,
		"<urn:x-cisco-remotecc:callinfo>; security=something-new":     LockUnknown,
		"<urn:x-cisco-remotecc:callinfo>; orientation=to":             LockUntold,
		"<http://example.com/alice.png>;purpose=icon;security=Secret": LockUntold,
	} {
		m := &sip.Message{}
		m.Add("Call-Info", text)
		if got, _ := lockOf(m); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestIntercomAnswersWhatAsks(t *testing.T) {
	t.Parallel()
	ctx, a, b := plainPair(t, func(c *Config) { c.Intercom = true })
	for _, h := range []dialog.Header{{Name: "Call-Info", Value: "<sip:locktone.test>;answer-after=0"}, {Name: "Alert-Info", Value: "<http://locktone.test>;info=alert-autoanswer"}} {
		ca, _ := dialWith(ctx, t, a, b, DialOptions{Headers: []dialog.Header{h}})
		if err := ca.WaitAnswered(ctx); err != nil {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
	ca, cb := dialWith(ctx, t, a, b, DialOptions{})
	if err := ca.WaitRinging(ctx); err != nil {
		t.Fatal(err)
	}
	cb.Reject(486)
	if status, _, err := ca.WaitEnded(ctx); status != 486 {
		t.Errorf("a call that does not ask ended with %d, want 486 (%v)", status, err)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	ctx, a, b := plainPair(t, nil)
	ca, cb := dialWith(ctx, t, a, b, DialOptions{})
	cb.Redirect("1003")
	status, byPeer, err := ca.WaitEnded(ctx)
	if status != 302 || !byPeer {
		t.Errorf("ended with %d, %v", status, err)
	}
	if err := ca.WaitAnswered(ctx); !errors.Is(err, errEnded) {
		t.Errorf("a call that has ended is waited for: %v", err)
	}
}

// Three tones at once are told apart from two, and from one that is not there.
func TestMixIsHeard(t *testing.T) {
	t.Parallel()
	ctx, a, b := plainPair(t, func(c *Config) { c.AutoAnswer = true })
	ca, cb := dialWith(ctx, t, a, b, DialOptions{})
	if err := ca.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	cb.Tone(600)
	if err := ca.WaitMix(ctx, []float64{600}, 440, 1000); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := ca.WaitMix(short, []float64{600, 440}); err == nil {
		t.Error("a tone was heard that nobody sends")
	}
}
