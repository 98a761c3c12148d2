package callmanager

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// aFlow is a flow of a transport without peers: good for its identity and nothing else.
func aFlow(t *testing.T) *transport.Flow {
	t.Helper()
	tr := transport.New(transport.Config{}, nil)
	t.Cleanup(func() { tr.Close() })
	if _, err := tr.Listen(transport.ListenConfig{Network: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")}); err != nil {
		t.Fatal(err)
	}
	f, err := tr.Flow(transport.Dest{Network: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:9")})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func aRegister(t *testing.T, callID string, seq int, header ...string) *sip.Message {
	t.Helper()
	text := fmt.Sprintf("REGISTER sip:locktone.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK1\r\nFrom: <sip:1001@locktone.test>;tag=a\r\n"+
		"To: <sip:1001@locktone.test>\r\nCall-ID: %s\r\nCSeq: %d REGISTER\r\nMax-Forwards: 70\r\n%s\r\nContent-Length: 0\r\n\r\n", callID, seq, strings.Join(header, "\r\n"))
	m, err := sip.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBindings is RFC 3261, 10.3, steps 6 to 8, one request after the other on one table.
func TestBindings(t *testing.T) {
	flow := aFlow(t)
	limits := lifetimes{least: time.Minute, most: time.Hour}
	now := time.Unix(1000, 0)
	var table bindings
	contact := func(port int, params string) string {
		return fmt.Sprintf("Contact: <sip:1001@127.0.0.1:%d;transport=tls>%s", port, params)
	}
	for _, step := range []struct {
		name   string
		m      *sip.Message
		status int    // of the refusal, 0: accepted
		ports  string // bound afterwards
		change string // "up", "down" or ""
	}{
		{"query", aRegister(t, "a", 1, "Supported: path"), 0, "", ""},
		{"first", aRegister(t, "a", 2, contact(1, ";expires=120")), 0, "1/120", "up"},
		{"refresh", aRegister(t, "a", 3, contact(1, ";expires=180")), 0, "1/180", ""},
		{"older request", aRegister(t, "a", 3, contact(1, ";expires=60")), 500, "1/180", ""},
		{"too brief", aRegister(t, "a", 4, contact(2, ";expires=5")), 423, "1/180", ""},
		{"one of two is too brief, none is taken", aRegister(t, "a", 5, contact(2, ""), contact(3, ";expires=5")), 423, "1/180", ""},
		{"second contact, no lifetime asked", aRegister(t, "a", 6, contact(2, "")), 0, "1/180 2/3600", ""},
		{"more than is given", aRegister(t, "a", 7, contact(2, ";expires=99999")), 0, "1/180 2/3600", ""},
		{"expires header", aRegister(t, "a", 8, contact(3, ""), "Expires: 90"), 0, "1/180 2/3600 3/90", ""},
		{"remove one", aRegister(t, "a", 9, contact(2, ";expires=0")), 0, "1/180 3/90", ""},
		{"star needs Expires: 0", aRegister(t, "a", 10, "Contact: *"), 400, "1/180 3/90", ""},
		{"star", aRegister(t, "a", 11, "Contact: *", "Expires: 0"), 0, "", "down"},
		{"instance moves to another port", aRegister(t, "b", 1, contact(5, `;+sip.instance="<urn:uuid:1>"`)), 0, "5/3600", "up"},
		{"and replaces itself", aRegister(t, "c", 1, contact(6, `;+sip.instance="<urn:uuid:1>"`)), 0, "6/3600", ""},
		{"no SIP address", aRegister(t, "c", 2, "Contact: <mailto:a@b.c>"), 400, "6/3600", ""},
	} {
		done, refused := table.register(now, "alice", "1001", step.m, flow, limits)
		status := 0
		if refused != nil {
			status = refused.status
		}
		if status != step.status {
			t.Errorf("%s: status %d, want %d", step.name, status, step.status)
		}
		if got := bound(&table, now); got != step.ports {
			t.Errorf("%s: bound %q, want %q", step.name, got, step.ports)
		}
		change := ""
		if refused == nil && done.was != done.is {
			change = map[bool]string{true: "up", false: "down"}[done.is]
		}
		if change != step.change {
			t.Errorf("%s: change %q, want %q", step.name, change, step.change)
		}
	}
}

func bound(b *bindings, now time.Time) string {
	var out []string
	for _, x := range b.all() {
		out = append(out, fmt.Sprintf("%d/%d", x.contact.URI.Port, int(x.expires.Sub(now)/time.Second)))
	}
	return strings.Join(out, " ")
}

// TestBindingsRunOut: what runs out, and what goes with its connection, makes the device unreachable.
func TestBindingsRunOut(t *testing.T) {
	flow := aFlow(t)
	now := time.Unix(1000, 0)
	var b bindings
	limits := lifetimes{least: time.Second, most: time.Hour}
	for i, aor := range []string{"1001", "alice"} {
		m := aRegister(t, aor, 1, fmt.Sprintf("Contact: <sip:x@127.0.0.1:%d>;expires=%d", i+1, 60*(i+1)))
		if _, refused := b.register(now, "alice", aor, m, flow, limits); refused != nil {
			t.Fatal(refused)
		}
	}
	if r, ok := b.reach(now, "alice", "1001"); !ok || r.aor != "1001" {
		t.Errorf("a call for 1001 goes to %q", r.aor)
	}
	if r, ok := b.reach(now, "alice", "1009"); !ok || r.aor != "alice" {
		t.Errorf("a call for a line that did not register goes to %q, want the device's own contact", r.aor)
	}
	if next := b.next(); !next.Equal(now.Add(time.Minute)) {
		t.Errorf("next expiry %v", next)
	}
	if gone := b.expire(now.Add(time.Minute)); len(gone) != 0 {
		t.Errorf("%q is gone although a binding is left", gone)
	}
	if gone := b.flowClosed(now, flow.ID()); len(gone) != 1 || gone[0] != "alice" {
		t.Errorf("gone with the connection: %q", gone)
	}
	if _, ok := b.reach(now, "alice", "1001"); ok {
		t.Error("alice is still reachable")
	}
}

// TestBindingsSoonest: when to look is known without looking, and never too late.
func TestBindingsSoonest(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b bindings
	flow := aFlow(t)
	limits := lifetimes{least: time.Second, most: time.Hour}
	if !b.soonest().IsZero() {
		t.Error("there is nothing to look for")
	}
	for i, minutes := range []int{10, 5, 20} {
		m := aRegister(t, "c", i+1, fmt.Sprintf("Contact: <sip:x@127.0.0.1:1>;expires=%d", 60*minutes))
		if _, refused := b.register(now, "alice", "alice", m, flow, limits); refused != nil {
			t.Fatal(refused)
		}
		if soon, next := b.soonest(), now.Add(time.Duration(minutes)*time.Minute); soon.After(next) {
			t.Errorf("looks at %v, and the binding runs out at %v", soon, next)
		}
	}
	if gone := b.expire(now.Add(5 * time.Minute)); len(gone) != 0 {
		t.Errorf("%q is gone although it was refreshed", gone)
	}
	if next := b.next(); !next.Equal(now.Add(20*time.Minute)) || !b.soonest().Equal(next) {
		t.Errorf("next %v, soonest %v", next, b.soonest())
	}
}
