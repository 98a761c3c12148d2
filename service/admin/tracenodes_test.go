package admin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/trace"
)

// tied is a call from a phone at n1 over the tie to n2 and its phone there: what each node records of it. n2's clock is 20 s behind.
func tied(n int) (at1, at2 []trace.Record) {
	now := time.Now()
	message := func(first, id string, cseq int) []byte {
		return fmt.Appendf(nil, "%s\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK%s%d\r\nFrom: <sip:2001@x>;tag=a\r\nTo: <sip:2002@x>\r\nCall-ID: %s\r\nCSeq: %d INVITE\r\n"+
			"Content-Type: application/sdp\r\n\r\nv=0\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 %s\r\n", first, id, cseq, id, cseq, secretKey)
	}
	rec := func(node string, kind trace.Kind, call, id, local, remote string, text []byte) {
		now = now.Add(time.Millisecond)
		r := trace.Record{Time: now, Service: "callmanager", Kind: kind, Call: call, SIPCallID: id, Net: "tls", Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), Body: text}
		if node == "n1" {
			at1 = append(at1, r)
		} else {
			r.Time = r.Time.Add(-20 * time.Second)
			at2 = append(at2, r)
		}
	}
	for i := range n {
		a, tie, b := fmt.Sprint("a", i), fmt.Sprint("tie", i), fmt.Sprint("b", i)
		const invite, ok = "INVITE sip:2002@x SIP/2.0", "SIP/2.0 200 OK"
		rec("n1", trace.KindSIPIn, "global", a, "10.1.0.1:5061", "10.0.0.7:1111", message(invite, a, 1))
		rec("n1", trace.KindSIPOut, "global", tie, "10.1.0.1:4444", "10.2.0.1:5061", message(invite, tie, 1))
		rec("n2", trace.KindSIPIn, "elsewhere", tie, "10.2.0.1:5061", "10.1.0.1:4444", message(invite, tie, 1)) // n2 has another name for it
		rec("n2", trace.KindSIPOut, "elsewhere", b, "10.2.0.1:5061", "10.0.0.8:2222", message(invite, b, 1))
		rec("n2", trace.KindSIPIn, "elsewhere", b, "10.2.0.1:5061", "10.0.0.8:2222", message(ok, b, 1))
		rec("n2", trace.KindSIPOut, "elsewhere", tie, "10.2.0.1:5061", "10.1.0.1:4444", message(ok, tie, 1))
		rec("n1", trace.KindSIPIn, "global", tie, "10.1.0.1:4444", "10.2.0.1:5061", message(ok, tie, 1))
		rec("n1", trace.KindSIPOut, "global", a, "10.1.0.1:5061", "10.0.0.7:1111", message(ok, a, 1))
	}
	return at1, at2
}

// pair is two nodes' administrations on one bus; n3 is configured and never was.
func pair(t *testing.T, calls int) (first, second *kit) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true}) // 1 MiB a message, as an operator's
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	at1, at2 := tied(calls)
	node := func(name string, recs []trace.Record) *kit {
		b, err := bus.Open(context.Background(), bus.Config{Node: name, URLs: []string{s.ClientURL()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		r, err := trace.Open(trace.Config{Node: name, Dir: filepath.Join(t.TempDir(), "trace")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		for i := range recs {
			r.Record(recs[i])
		}
		return start(t, func(c *Config) {
			c.Node, c.Nodes, c.Bus, c.Trace, c.TLS, c.Services = name, []string{"n1", "n2", "n3"}, b, r, nil, nil
		})
	}
	return node("n1", at1), node("n2", at2)
}

// A call that went over two nodes is one call, whichever is asked; a node that does not answer is named; and no key is anywhere.
func TestTracesOfTwoNodes(t *testing.T) {
	n1, n2 := pair(t, 1)
	ctx := context.Background()
	for _, k := range []*kit{n1, n2} {
		for _, id := range []string{"global", "elsewhere", "a0", "tie0", "b0"} {
			var got LadderAnswer
			if err := k.client.Do(ctx, http.MethodGet, "/v1/calls/"+id+"/ladder?width=0", nil, &got); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(got.Text, "INVITE sdp"); n != 3 || !strings.Contains(got.Text, "callmanager@n1") || !strings.Contains(got.Text, "callmanager@n2") ||
				!strings.Contains(got.Text, "the clock of n2 is 20s behind that of n1") || !strings.Contains(got.Text, "what n3 recorded is not here") {
				t.Errorf("%s at %s: %d INVITEs in\n%s", id, k.cfg.Node, n, got.Text)
			}
		}
		var svg bytes.Buffer
		if _, err := k.client.Download(ctx, http.MethodGet, "/v1/calls/global/ladder.svg", &svg); err != nil || !strings.Contains(svg.String(), "callmanager@n2") || !strings.Contains(svg.String(), "n3") {
			t.Errorf("%v %s", err, svg.String())
		}
		var calls Rows[trace.CallInfo]
		if err := k.client.Do(ctx, http.MethodGet, "/v1/calls", nil, &calls); err != nil || len(calls.Rows) != 1 || len(calls.Rows[0].Nodes) != 2 || calls.Rows[0].Records != 8 || len(calls.Problems) != 1 {
			t.Errorf("%v %+v", err, calls)
		}
		var recs Rows[Record]
		if err := k.client.Do(ctx, http.MethodGet, "/v1/trace/records?service=callmanager", nil, &recs); err != nil || len(recs.Rows) != 8 || len(recs.Problems) != 1 {
			t.Errorf("%v, %d records, %v", err, len(recs.Rows), recs.Problems)
		}
	}
	if err := n1.client.Do(ctx, http.MethodGet, "/v1/calls/nobody/ladder", nil, nil); err == nil || !strings.Contains(err.Error(), "n3") {
		t.Errorf("a call nobody knows: %v", err)
	}
	var archive bytes.Buffer
	if _, err := n1.client.Download(ctx, http.MethodPost, "/v1/logs", &archive); err != nil {
		t.Fatal(err)
	}
	files := untar(t, archive.Bytes())
	other := ""
	for name, text := range files {
		if strings.Contains(name, "/nodes/n2/trace/trace-") {
			other = text
		}
		if strings.Contains(text, strings.TrimPrefix(secretKey, "inline:")) {
			t.Errorf("%s holds a key", name)
		}
	}
	if strings.Count(other, "\n") < 4 || !strings.Contains(files["locktone-n1/nodes/missing.txt"], "n3") {
		t.Errorf("of n2 there is %q, missing: %q", other, files["locktone-n1/nodes/missing.txt"])
	}
	if err := n2.Close(ctx); err != nil {
		t.Error(err)
	}
	var got LadderAnswer
	if err := n1.client.Do(ctx, http.MethodGet, "/v1/calls/global/ladder?width=0", nil, &got); err != nil || !strings.Contains(got.Text, "what n2 recorded is not here") {
		t.Errorf("%v\n%s", err, got.Text)
	}
}

// A call with more records than the bus takes in one message comes whole.
func TestLargeCall(t *testing.T) {
	n1, _ := pair(t, 250)
	var recs Rows[Record]
	if err := n1.client.Do(context.Background(), http.MethodGet, "/v1/calls/global/records", nil, &recs); err != nil || len(recs.Rows) != 250*8 {
		t.Errorf("%v, %d records of %d", err, len(recs.Rows), 250*8)
	}
}

func untar(t *testing.T, b []byte) map[string]string {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(text)
	}
}
