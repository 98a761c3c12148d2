package peers

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestControl runs the peers against each other, without the product: two baresips register at a Kamailio over mutual
// TLS and call each other with SRTP. When this fails, the fault is not ours.
func TestControl(t *testing.T) {
	Need(t, baresip, kamailio, sox, openssl)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	pki := t.TempDir()
	if out, err := exec.Command("sh", Shared(t, "peers", "mkpki.sh"), pki).CombinedOutput(); err != nil {
		t.Fatalf("mkpki: %v: %s", err, out)
	}
	in := func(name string) string { return filepath.Join(pki, name) }
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	proxy, err := StartKamailio(ctx, t.TempDir(), KamailioConfig{Listen: addr, Name: "sip.test.lab", Register: true,
		Certificate: in("server.crt"), Key: in("server.key"), CA: in("ca.crt")})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	defer func() {
		if t.Failed() {
			t.Log(proxy.Tail(30))
		}
	}()
	tone := in("tone.wav")
	if out, err := exec.Command("sox", "-n", "-r", "8000", "-c", "1", "-b", "16", tone, "synth", "30", "sine", "1000", "vol", "0.4").CombinedOutput(); err != nil {
		t.Fatalf("sox: %v: %s", err, out)
	}
	phone := func(user string, auto bool) *Baresip {
		b, err := StartBaresip(ctx, t.TempDir(), BaresipConfig{User: user, Domain: addr, Certificate: in(user + ".pem"), CA: in("ca.crt"), Tone: tone, AutoAnswer: auto})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Stop)
		if err := b.Registered(ctx); err != nil {
			t.Fatal(err)
		}
		return b
	}
	bob, alice := phone("bob", true), phone("alice", false)
	if err := alice.Command("dial", "sip:bob@"+addr+";transport=tls"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*Baresip{alice, bob} {
		if _, err := b.Event(ctx, 0, "CALL_ESTABLISHED"); err != nil {
			t.Fatal(err)
		}
	}
	waitSize(t, ctx, bob, 16000) // one second of 8 kHz, 16 bit
	if err := alice.Command("hangup", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Event(ctx, 0, "CALL_CLOSED"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(bob.Output(), "\n"), "SRTP is Enabled") {
		t.Error("bob's call was not SRTP")
	}
}

// waitSize returns when the recording of what b hears has grown to n bytes.
func waitSize(t *testing.T, ctx context.Context, b *Baresip, n int64) string {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if path, err := b.Heard(); err == nil {
			if st, err := os.Stat(path); err == nil && st.Size() >= n {
				return path
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nothing recorded: %v\n%s", ctx.Err(), b.Tail(20))
		}
	}
}
