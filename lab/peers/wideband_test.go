package peers

import (
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/pki"
)

// TestBaresipWideband: G.722 with a phone nobody here wrote: ours decodes what its codec makes.
func TestBaresipWideband(t *testing.T) {
	Need(t, baresip, sox)
	t.Parallel()
	s, _ := phoneSite(t)
	ctx := within(t, 25*time.Second)
	tone := filepath.Join(t.TempDir(), "wide.wav") // the phone does not convert: its file must have the codec's rate
	if out, err := exec.CommandContext(ctx, "sox", "-n", "-r", "16000", "-c", "1", "-b", "16", tone, "synth", "50", "sine", fmt.Sprint(calledTone), "vol", "0.3").CombinedOutput(); err != nil {
		t.Fatalf("sox: %v: %s", err, out)
	}
	f := s.certificate(t, pki.KindDevice, "dave")
	dave, err := StartBaresip(ctx, folder(t, "dave"), BaresipConfig{User: "dave", Domain: "locktone.test", Proxy: s.addr, Certificate: f.both, CA: f.ca,
		Tone: tone, AutoAnswer: true, Codecs: "G722/16000/1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dave.Stop)
	must(t, dave.Registered(ctx))
	alice, err := s.Phone(ctx, "alice", "1001", func(c *phone.Config) {
		c.Media.Caps.Codecs = desc.Wideband()[:1:1]
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alice.Close(within(t, 10*time.Second)) })
	must(t, alice.WaitRegistered(ctx))
	call, err := alice.Dial(ctx, "1004")
	if err != nil {
		t.Fatal(err)
	}
	must(t, call.WaitAnswered(ctx))
	if _, err := call.WaitTone(ctx, calledTone); err != nil {
		t.Fatal(err)
	}
	e := call.Evidence()
	if e.Media.Codec != desc.G722 || e.RxAuth == 0 || math.Abs(e.ToneHz-calledTone) > calledTone/100 {
		t.Errorf("evidence: %+v", e)
	}
	t.Logf("in G.722 alice hears %.1f Hz of dave (baresip)", e.ToneHz)
}
