package callserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/media/wav"
)

// TestSilentRouter: a contact centre that does not answer, answers with nonsense, or too late: the caller hears the default treatment and is
// never dropped, the question is asked again, and a late answer counts.
func TestSilentRouter(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	first := s.centre.query(ctx, contact.New) // no answer
	v := s.vb.session(ctx)
	if !v.says("We have a problem") {
		t.Error("the caller hears something else than the default treatment")
	}
	must(t, c.WaitAnswered(ctx))
	hears(ctx, t, c, 700)
	close(s.centre.query(ctx, contact.New).answer) // an error
	s.centre.query(ctx, contact.New).answer <- greeting(0, "a label without a serial")
	late := s.centre.query(ctx, contact.New)
	late.answer <- greeting(1, "Here at last")
	if v = s.vb.session(ctx); !v.says("Here at last") {
		t.Error("the caller hears something else than the label")
	}
	hears(ctx, t, c, 700)
	if a := s.centre.order(ctx, first.Query, greeting(1, "again")); a.Taken != contact.OldLabel {
		t.Errorf("a serial that was taken: %+v", a)
	}
	if a := s.centre.order(ctx, first.Query, contact.Label{Serial: 2, Kind: contact.Connect, Number: "x"}); a.Taken != contact.BadLabel || a.Why == "" {
		t.Errorf("a label that makes no sense: %+v", a)
	}
	must(t, c.Hangup(ctx))
	if n := s.centre.note(ctx, contact.NoteEnded); n.Serial != 1 {
		t.Errorf("%+v", n)
	}
}

// TestRouterDies: the contact centre dies with two calls, one at a browser and one with an agent. Neither is dropped; the next life is told of
// both, and can go on with them.
func TestRouterDies(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	waiting := s.call(ctx, "800")
	s.centre.query(ctx, contact.New).answer <- greeting(1, "One")
	s.vb.session(ctx)
	must(t, waiting.WaitAnswered(ctx))
	talking := s.call(ctx, "801")
	q := s.centre.query(ctx, contact.New)
	q.answer <- connect(1, "2001")
	s.agent(ctx).answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteRinging)
	s.centre.note(ctx, contact.NoteConnected)
	hears(ctx, t, talking, 440)
	s.centre.die()
	hears(ctx, t, waiting, 700)
	hears(ctx, t, talking, 440)
	s.centre.lead(2)
	told := map[string]contact.Query{}
	for range 2 {
		q := s.centre.query(ctx, contact.Again)
		told[q.Called] = q.Query
		q.answer <- contact.Label{Serial: q.Label + 1}
	}
	if q := told["800"]; q.State != contact.Treated || q.Label != 1 {
		t.Errorf("told %+v", q)
	}
	if q := told["801"]; q.State != contact.Connected || q.With != "2001" {
		t.Errorf("told %+v", q)
	}
	all, err := bus.Ask[contact.CallsRequest, contact.Calls](ctx, s.bus, s.bus.Subject(Name, contact.VerbCalls), contact.CallsRequest{})
	if err != nil || len(all.Calls) != 2 || all.Calls[0].Query.Called != "800" || all.Calls[1].Query.With != "2001" || all.Seq != s.centre.seq {
		t.Errorf("all calls: %+v, %v", all, err)
	}
	if facts := s.bus.Board().All(contact.FactCall); len(facts) != 2 {
		t.Errorf("%d facts of calls", len(facts))
	}
	if a := s.centre.order(ctx, told["800"], connect(5, "2002")); a.Taken != contact.OrderTaken {
		t.Fatalf("%+v", a)
	}
	s.agent(ctx).answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteRinging)
	s.centre.note(ctx, contact.NoteSuperseded)
	s.centre.note(ctx, contact.NoteConnected)
	hears(ctx, t, waiting, 440)
}

// TestSurvivalNumber: without a contact centre callers hear the default treatment, and are connected to the survival number in the end.
func TestSurvivalNumber(t *testing.T) {
	s := newStand(t, func(c *config.Site) {
		c.CallServers[0].SurvivalNumber, c.CallServers[0].SurvivalAfter = "2000", config.Duration(2*time.Second)
	})
	s.centre.die()
	ctx := within(t)
	for s.service.status().State != "degraded" {
		time.Sleep(time.Millisecond)
		must(t, ctx.Err())
	}
	c := s.call(ctx, "800")
	if v := s.vb.session(ctx); !v.says("We have a problem") {
		t.Error("the caller hears something else than the default treatment")
	}
	must(t, c.WaitAnswered(ctx))
	a := s.agent(ctx)
	if a.info.Called != "2000" {
		t.Errorf("%s rings", a.info.Called)
	}
	a.answer <- call.CauseNone
	hears(ctx, t, c, 440)
	s.centre.lead(9)
	if q := s.centre.query(ctx, contact.New); q.State != contact.Connected || q.With != "2000" {
		t.Errorf("told %+v", q.Query)
	}
}

// TestBrowserDies: a browser that hangs up over its document is tried once more; then the contact centre is asked, and the caller is still there.
func TestBrowserDies(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	s.centre.query(ctx, contact.New).answer <- greeting(1, "Hello")
	for range 2 {
		v := s.vb.session(ctx)
		must(t, c.WaitAnswered(ctx))
		hears(ctx, t, c, 700)
		v.end()
	}
	if n := s.centre.note(ctx, contact.NoteFailed); n.Serial != 1 {
		t.Errorf("%+v", n)
	}
	q := s.centre.query(ctx, contact.TreatmentFailed)
	q.answer <- connect(2, "2001")
	s.agent(ctx).answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteRinging)
	s.centre.note(ctx, contact.NoteConnected)
	hears(ctx, t, c, 440)
}

// TestOtherMember: a call goes to the member that is there; when that goes out of service, its caller is brought to another one.
func TestOtherMember(t *testing.T) {
	var second *browser
	s := newStand(t, func(c *config.Site) {
		g := &c.SIPServerGroups[1]
		g.Heartbeat = config.OptionsPing{IntervalInService: config.Duration(200 * time.Millisecond), IntervalOutOfService: config.Duration(200 * time.Millisecond),
			Retries: 1, RetryInterval: config.Duration(100 * time.Millisecond)}
	})
	second = startBrowser(t, s.ca, s.addr)
	s.records.change(func(c *config.Site) {
		c.SIPServerGroups[1].Members = append(c.SIPServerGroups[1].Members, config.ServerGroupMember{Address: second.addr.String(), Priority: 1})
	})
	ctx := within(t)
	state := func(addr netip.Addr) string {
		for _, r := range s.service.groups(ctx) {
			if r.Group == "vvb" && strings.HasPrefix(r.Destination, addr.String()) {
				return r.State
			}
		}
		return ""
	}
	for state(second.addr) != "in-service" || state(s.vb.addr) != "in-service" {
		time.Sleep(10 * time.Millisecond)
		must(t, ctx.Err())
	}
	c := s.call(ctx, "800")
	s.centre.query(ctx, contact.New).answer <- greeting(1, "Hello")
	s.vb.session(ctx)
	must(t, c.WaitAnswered(ctx))
	hears(ctx, t, c, 700)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_ = s.vb.el.Abandon(gone) // as the end of its process would
	if v := second.session(ctx); !v.says("Hello") {
		t.Error("the other browser plays something else")
	}
	hears(ctx, t, c, 700)
	if st := state(s.vb.addr); st != "out-of-service" {
		t.Errorf("the first browser is %s", st)
	}
	c = s.call(ctx, "800") // goes to the second one at once
	s.centre.query(ctx, contact.New).answer <- greeting(1, "Hello again")
	if v := second.session(ctx); !v.says("Hello again") {
		t.Error("the second call hears something else")
	}
	must(t, c.WaitAnswered(ctx))
}

// TestDocuments: documents are for voice browsers, and for calls that are; what is too large or no form is refused.
func TestDocuments(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	s.call(ctx, "800")
	q := s.centre.query(ctx, contact.New)
	q.answer <- contact.Label{Serial: 1, Kind: contact.Treat, Steps: []contact.Play{{Kind: contact.Record, Variable: "message"}}}
	v := s.vb.session(ctx)
	base := "https://" + netip.AddrPortFrom(s.addr, 8443).String()
	audio := filepath.Join(s.service.cfg.Folder, "callserver", "audio")
	must(t, os.MkdirAll(audio, 0o700))
	must(t, os.WriteFile(filepath.Join(audio, "hello.wav"), wav.Append(nil, make([]int16, 80)), 0o600))
	must(t, os.WriteFile(filepath.Join(s.service.cfg.Folder, "callserver", "secret"), []byte("secret"), 0o600))

	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Roots(), Certificates: []tls.Certificate{s.ca.Peer("stranger.test")}}}}
	nobody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Roots()}}}
	document := fmt.Sprintf("/vxml/%s/1", q.Call)
	form := "application/x-www-form-urlencoded"
	rows := []struct {
		who            *http.Client
		method, at     string
		kind, body     string
		status         int
		answerContains string
	}{
		{v.http, "GET", document, "", "", 200, "<record"},
		{stranger, "GET", document, "", "", 403, "stranger.test"},
		{v.http, "GET", "/vxml/n1-1-99/1", "", "", 404, "no such call"},
		{v.http, "GET", "/vxml/" + string(q.Call), "", "", 404, ""},
		{v.http, "GET", "/vxml/" + string(q.Call) + "/x", "", "", 404, ""},
		{v.http, "DELETE", document, "", "", 405, ""},
		{v.http, "POST", document, "text/plain", "x", 415, "no form"},
		{v.http, "POST", document, "", "x", 415, ""},
		{v.http, "POST", document, form, strings.Repeat("x", maxForm+1), 413, ""},
		{v.http, "POST", document, form, "%zz", 400, ""},
		{v.http, "POST", document, form, many(2*contact.MaxSteps + 2), 413, ""},
		{v.http, "POST", document, "multipart/form-data; boundary=b", "no part", 400, ""},
		{v.http, "GET", "/audio/music.wav?ms=100", "", "", 200, "WAVE"},
		{v.http, "GET", "/audio/hello.wav", "", "", 200, "WAVE"},
		{v.http, "GET", "/audio/%2e%2e/secret", "", "", 404, ""},
		{v.http, "GET", "/audio/other.wav", "", "", 404, ""},
		{v.http, "GET", "/", "", "", 404, ""},
	}
	for _, r := range rows {
		request, err := http.NewRequestWithContext(ctx, r.method, base+r.at, strings.NewReader(r.body))
		must(t, err)
		request.Header.Set("Content-Type", r.kind)
		answer, err := r.who.Do(request)
		must(t, err)
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != r.status || !bytes.Contains(text, []byte(r.answerContains)) {
			t.Errorf("%s %s: %d, expected %d with %q: %.200q", r.method, r.at, answer.StatusCode, r.status, r.answerContains, text)
		}
	}
	if answer, err := nobody.Get(base + document); err == nil {
		t.Errorf("somebody without a certificate gets %d", answer.StatusCode)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&x%d=1", i)
	}
	return b.String()
}

// TestRecording: what a caller leaves is kept as a file, and the contact centre is told its name.
func TestRecording(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	s.call(ctx, "800")
	q := s.centre.query(ctx, contact.New)
	q.answer <- contact.Label{Serial: 1, Kind: contact.Treat, Steps: []contact.Play{{Kind: contact.Record, Variable: "message"}}}
	v := s.vb.session(ctx)
	sound := wav.Append(nil, make([]int16, 8000))
	body := "--b\r\nContent-Disposition: form-data; name=\"r0\"; filename=\"x.wav\"\r\nContent-Type: audio/x-wav\r\n\r\n" + string(sound) +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"w0\"\r\n\r\n\r\n--b--\r\n"
	got := make(chan error, 1)
	go func() {
		r, err := v.http.Post(v.url.String(), "multipart/form-data; boundary=b", strings.NewReader(body))
		if err == nil {
			err = r.Body.Close()
		}
		got <- err
	}()
	step := s.centre.query(ctx, contact.Step)
	name := step.Variables["message"]
	kept, err := os.ReadFile(filepath.Join(s.service.cfg.Folder, "callserver", "recordings", name))
	if err != nil || !bytes.Equal(kept, sound) {
		t.Errorf("the recording %q: %v, %d octets", name, err, len(kept))
	}
	step.answer <- contact.Label{Serial: 2, Kind: contact.End}
	must(t, <-got)
}

// TestShares: members of one priority stand in a route list as often as their weights say, spread evenly.
func TestShares(t *testing.T) {
	m := func(name string, weight int) config.ServerGroupMember {
		return config.ServerGroupMember{Address: name, Weight: weight}
	}
	for want, members := range map[string][]config.ServerGroupMember{
		"a":       {m("a", 7)},
		"ab":      {m("a", 10), m("b", 10)},
		"aba":     {m("a", 20), m("b", 10)},
		"aabacaa": {m("a", 50), m("b", 10), m("c", 10)},
	} {
		got := ""
		for _, x := range shares(members) {
			got += x.Address
		}
		if got != want {
			t.Errorf("%v: %s, expected %s", members, got, want)
		}
	}
	if n := len(shares([]config.ServerGroupMember{m("a", 100), m("b", 99), m("c", 1)})); n > maxShares+3 {
		t.Errorf("%d entries", n)
	}
}
