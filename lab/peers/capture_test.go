package peers

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
)

// TestCapture has tshark judge a call of two baresips from the outside: nothing on the TLS port is SIP in clear, what is
// inside (read with the session secrets, which only a laboratory can have) holds no malformed message, and neither does
// the media.
func TestCapture(t *testing.T) {
	Need(t, tshark, baresip, sox)
	if os.Geteuid() != 0 {
		t.Skip("recording loopback traffic needs root")
	}
	t.Parallel()
	ctx := within(t, 60*time.Second)
	dir := folder(t, "capture")
	keys, err := os.Create(filepath.Join(dir, "keys.log"))
	must(t, err)
	defer keys.Close()
	s := startSite(t, nil, lab.Options{Tune: func(c *callmanager.Config) { c.KeyLog = pki.KeyLogWriter(&locked{f: keys}) }})
	file := filepath.Join(dir, "call.pcapng")
	// Ours alone: tests of other packages send rubbish to addresses of their own at the same time. Media goes from phone to phone.
	capture, err := StartCapture(ctx, dir, file, "host "+s.CallManager().String()+" or (src host 127.0.0.1 and dst host 127.0.0.1 and udp portrange 10000-65535)")
	must(t, err)
	t.Cleanup(capture.Stop)
	p := startPair(t, s, "alice", "1001", "bob", "1002")
	p.callAndDigits(t)
	p.hold(t)
	p.hangUp(t, p.a)
	marked(t, ctx, file)
	must(t, capture.Close(ctx))

	dissect := func(options ...string) []string {
		t.Helper()
		lines, err := Dissect(ctx, file, options...)
		must(t, err)
		return lines
	}
	inside := []string{"-o", "tls.keylog_file:" + keys.Name(), "-d", "tcp.port==5061,tls", "-d", "tls.port==5061,sip"}
	messages := dissect(append(inside, "-Y", "sip", "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code")...)
	seen := map[string]int{}
	for _, line := range messages {
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == '\t' || r == ',' }) {
			seen[word]++
		}
	}
	t.Logf("inside TLS tshark reads %d frames with SIP: %v", len(messages), seen)
	for _, word := range []string{"REGISTER", "INVITE", "ACK", "BYE", "180", "200"} {
		if seen[word] == 0 {
			t.Errorf("tshark does not see %s inside TLS", word)
		}
	}
	// SRTCP, whose body is encrypted, looks malformed to a dissector that takes it for RTCP and has no keys.
	if bad := dissect(append(inside, "-Y", "_ws.malformed && !rtcp && !srtcp")...); len(bad) > 0 {
		t.Errorf("malformed packets:\n%s", strings.Join(bad[:min(len(bad), 20)], "\n"))
	}
	if clear := dissect("-d", "tcp.port==5061,tls", "-Y", `tcp.port == 5061 && (sip || frame contains "SIP/2.0")`); len(clear) > 0 {
		t.Errorf("SIP in clear on the TLS port:\n%s", strings.Join(clear[:min(len(clear), 20)], "\n"))
	}
	rtp := dissect("-o", "rtp.heuristic_rtp:TRUE", "-Y", "rtp && !_ws.malformed", "-T", "fields", "-e", "rtp.p_type")
	if len(rtp) < 50 {
		t.Errorf("%d RTP packets in the capture, want the call's", len(rtp))
	}
	if bad := dissect("-o", "rtp.heuristic_rtp:TRUE", "-Y", "rtp && _ws.malformed"); len(bad) > 0 {
		t.Errorf("malformed media:\n%s", strings.Join(bad[:min(len(bad), 20)], "\n"))
	}
	t.Logf("%d RTP packets", len(rtp))
	found := false
	for _, e := range exceptions(t, s) {
		found = found || strings.Contains(e.Value, "secrets")
	}
	if !found {
		t.Error("show exceptions does not tell that session secrets are logged")
	}
}

// marked sends a packet of our own and waits until the recording has it: then it has all that came before.
func marked(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	mark := []byte("the end of this recording")
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer to.Close()
	from, err := net.Dial("udp", to.LocalAddr().String())
	must(t, err)
	defer from.Close()
	_, err = from.Write(mark)
	must(t, err)
	eventually(t, ctx, "the recording is complete", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && bytes.Contains(b, mark)
	})
}

// locked lets handshakes write the key log one at a time.
type locked struct {
	mu sync.Mutex
	f  *os.File
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}
