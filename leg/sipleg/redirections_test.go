package sipleg_test

import (
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/wire/sip"
)

// arriving is the INVITE that phone 1002 gets for a call of 1001 to it with the fields.
func arriving(t *testing.T, edit func(*call.Site, *phonetest.Exchange), fields ...sip.Field) *sip.Message {
	t.Helper()
	_, _, a, b := bridge(t, edit)
	reqs, _ := record(b)
	inv := a.invite("1002", offer(30000))
	for _, f := range fields {
		inv.Add(f.Name, f.Value)
	}
	a.send(inv)
	return next(t, reqs).m
}

// TestRedirectingNumbers: a peer is told which way a call came as its profile says: Diversion (RFC 5806) or History-Info (RFC 7044), all
// of it, the first or the last; who is withheld is withheld.
func TestRedirectingNumbers(t *testing.T) {
	fields := []sip.Field{{Name: "Diversion", Value: `"Two" <sip:2002@locktone.test>;reason=no-answer;counter=2;privacy=full`},
		{Name: "Diversion", Value: `<sip:2001@locktone.test>;reason=user-busy`}}
	for _, c := range []struct {
		name      string
		how       sipleg.Redirections
		believed  bool
		trusts    bool // the peer may be told what is withheld
		diversion []string
		history   []string
	}{
		{"all, withheld", sipleg.Redirections{}, true, false,
			[]string{`"Anonymous" <sip:anonymous@anonymous.invalid>;reason=no-answer;privacy=full;counter=2`, `<sip:2001@locktone.test>;reason=user-busy`}, nil},
		{"last", sipleg.Redirections{Party: sipleg.LastRedirecting}, true, true,
			[]string{`"Two" <sip:2002@locktone.test>;reason=no-answer;privacy=full;counter=2`}, nil},
		{"first", sipleg.Redirections{Party: sipleg.FirstRedirecting}, true, true, []string{`<sip:2001@locktone.test>;reason=user-busy`}, nil},
		{"not believed", sipleg.Redirections{History: true}, false, true, nil, nil},
		{"none", sipleg.Redirections{NoDiversion: true}, true, true, nil, nil},
		{"history", sipleg.Redirections{NoDiversion: true, History: true}, true, true, nil,
			[]string{`<sip:2001@locktone.test?Reason=SIP%3Bcause%3D486>;index=1`,
				`"Two" <sip:2002@locktone.test?Reason=SIP%3Bcause%3D408&Privacy=history>;index=1.1;mp=1`, `<sip:1002@locktone.test>;index=1.1.1;mp=1.1`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := arriving(t, func(cs *call.Site, x *phonetest.Exchange) {
				x.AddDevice(phonetest.Device(1), cs.Lines[0].ID).Redirections.Trusted = c.believed
				p := x.AddDevice(phonetest.Device(2), cs.Lines[1].ID)
				p.Redirections, p.TrustAsserts = c.how, c.trusts
			}, fields...)
			if got := m.Headers("Diversion"); strings.Join(got, ", ") != strings.Join(c.diversion, ", ") {
				t.Errorf("Diversion\n got %q\nwant %q", got, c.diversion)
			}
			if got := m.Headers("History-Info"); strings.Join(got, ", ") != strings.Join(c.history, ", ") {
				t.Errorf("History-Info\n got %q\nwant %q", got, c.history)
			}
		})
	}
}

// TestAlerting: a phone is told to answer by itself, or to be quiet.
func TestAlerting(t *testing.T) {
	m := arriving(t, nil)
	if lock := "<urn:x-cisco-remotecc:callinfo>; security=Encrypted; orientation=from"; len(m.Headers("Alert-Info")) != 0 || strings.Join(m.Headers("Call-Info"), "|") != lock {
		t.Errorf("a plain call has %q, %q", m.Headers("Alert-Info"), m.Headers("Call-Info"))
	}
	// What a phone says of its own lock, or of how others are to ring, is not passed on and counts for nothing.
	m = arriving(t, nil, sip.Field{Name: "Call-Info", Value: "<urn:x-cisco-remotecc:callinfo>; security=NotAuthenticated"},
		sip.Field{Name: "Call-Info", Value: "<sip:x@y>;answer-after=0"}, sip.Field{Name: "Alert-Info", Value: "<http://y>;info=alert-autoanswer"})
	if ci := m.Headers("Call-Info"); len(ci) != 1 || !strings.Contains(ci[0], "security=Encrypted;") || len(m.Headers("Alert-Info")) != 0 {
		t.Errorf("the caller's own signs arrive: Call-Info %q, Alert-Info %q", ci, m.Headers("Alert-Info"))
	}
	m = arriving(t, func(cs *call.Site, _ *phonetest.Exchange) { cs.Lines[1].AutoAnswer = true })
	if ci, ai := m.Headers("Call-Info"), m.Headers("Alert-Info"); len(ci) != 2 || !strings.HasSuffix(ci[0], ";answer-after=0") || len(ai) != 1 || !strings.Contains(ai[0], ";info=alert-autoanswer") {
		t.Errorf("auto-answer: Call-Info %q, Alert-Info %q", ci, ai)
	}
}
