package peers

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
)

// mailboxScenario is what a voicemail system says of a mailbox, and the answer it wants.
const mailboxScenario = `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="message waiting">
  <send retrans="500"><![CDATA[
NOTIFY sip:[service]@locktone.test SIP/2.0
Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:vm@vm.far.test>;tag=[pid]vm[call_number]
To: <sip:[service]@locktone.test>
Call-ID: [call_id]
CSeq: 1 NOTIFY
Contact: <sip:vm@[local_ip]:[local_port];transport=tls>
Event: message-summary
Subscription-State: active
Content-Type: application/simple-message-summary
Content-Length: [len]

Messages-Waiting: [waiting]
Message-Account: sip:[service]@vm.far.test
Voice-Message: [counts]
]]></send>
  <recv response="STATUS"/>
</scenario>
`

// voicemail is SIPp behind a stunnel with a trunk's certificate.
type voicemail struct {
	s  *testSite
	in string
}

func startVoicemail(t *testing.T, s *testSite, name string) voicemail {
	t.Helper()
	f := s.issue(t, pki.Request{Kind: pki.KindPeer, Name: name, DNSNames: []string{name}})
	in, _ := freeAddr(t)
	p, err := StartStunnel(within(t, 20*time.Second), folder(t, "stunnel"), StunnelConfig{Client: true, Accept: in, Connect: s.addr, Certificate: f.certificate, Key: f.key, CA: f.ca})
	must(t, err)
	t.Cleanup(p.Stop)
	return voicemail{s, in}
}

// says has SIPp send one NOTIFY and wait for its answer.
func (v voicemail) says(t *testing.T, ctx context.Context, number, waiting, counts, status string) {
	t.Helper()
	dir := folder(t, "vm")
	path := filepath.Join(dir, "notify.xml")
	must(t, os.WriteFile(path, []byte(strings.Replace(mailboxScenario, "STATUS", status, 1)), 0o600))
	must(t, RunSIPp(ctx, dir, SIPpRun{Scenario: path, Service: number, Remote: v.in, Local: "127.0.0.1:0", Keys: map[string]string{"waiting": waiting, "counts": counts},
		Args: []string{"-timeout", "14s", "-timeout_error"}}))
}

// TestMessageWaiting is RFC 3842 as state: SIPp is the voicemail system on a trunk; baresip, which subscribes, and a phone that does not
// know what is true at any time, also after each has started anew, and after the call manager has.
func TestMessageWaiting(t *testing.T) {
	Need(t, sipp, stunnel, baresip, sox)
	t.Parallel()
	_, port := freeAddr(t)
	home := filepath.Join(folder(t, "home"), "home")
	edit := func(c *config.Site) {
		c.SIPProfiles = append(c.SIPProfiles, config.SIPProfile{Name: "silent", OptionsPing: config.OptionsPing{Disabled: true}})
		c.SIPTrunkSecurityProfiles = append(c.SIPTrunkSecurityProfiles,
			config.SIPTrunkSecurityProfile{Name: "vm", AcceptedSubjects: []string{"vm.far.test"}, AcceptUnsolicitedNotify: true},
			config.SIPTrunkSecurityProfile{Name: "mute", AcceptedSubjects: []string{"mute.far.test"}})
		for i, name := range []string{"vm", "mute"} {
			c.SIPTrunks = append(c.SIPTrunks, config.SIPTrunk{Name: name, Destinations: []config.Destination{{Address: "127.0.0.1", Port: port + i}},
				CallingSearchSpace: "internal", SecurityProfile: name, SIPProfile: "silent", DevicePool: "default"})
		}
	}
	cfg := config.Default("node1")
	edit(cfg)
	first, err := lab.Start(t.Context(), lab.Options{Home: home, Config: cfg})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() { // it may not have come to its end
			_ = first.Close(context.Background())
		}
	})
	s := &testSite{Site: first, addr: netip.AddrPortFrom(first.CallManager(), 5061).String(), files: map[string]files{}}
	ctx := within(t, 120*time.Second)
	vm := startVoicemail(t, s, "vm.far.test")
	tone := makeTone(t, 400, 1)
	phoneOf := func(s *testSite) *Baresip {
		f := s.certificate(t, pki.KindDevice, "alice")
		b, err := StartBaresip(ctx, folder(t, "alice"), BaresipConfig{User: "1001", Domain: "locktone.test", Proxy: s.addr, Certificate: f.both, CA: f.ca, Tone: tone, Modules: []string{"mwi"}})
		must(t, err)
		t.Cleanup(b.Stop)
		must(t, b.Registered(ctx))
		return b
	}
	told := func(b *Baresip, mark int, want string) { t.Helper(); said(t, ctx, b.Process, mark, want) }
	alice := phoneOf(s)
	bob, err := s.Registered(ctx, "bob", "1002")
	must(t, err)
	t.Cleanup(func() { _ = bob.Close(context.Background()) })

	mark := len(alice.Output())
	vm.says(t, ctx, "1001", "yes", "2/8 (0/2)", "200")
	vm.says(t, ctx, "1002", "yes", "1/0 (0/0)", "200")
	told(alice, mark, "Voice-Message: 2/8 (0/2)")
	must(t, bob.WaitMessages(ctx, true, 1, 0))
	s.mailbox(t, ctx, "1001", []string{"alice"}, func(m bus.MessageState) bool { return m.Waiting && m.New == 2 && m.Old == 8 && m.Source == "trunk vm" })
	s.mailbox(t, ctx, "1002", []string{"bob"}, func(m bus.MessageState) bool { return m.Waiting && m.New == 1 })

	// Who starts anew is told at once.
	alice.Stop()
	alice = phoneOf(s)
	told(alice, 0, "Voice-Message: 2/8 (0/2)")

	// Nobody else may say so.
	vm.says(t, ctx, "4711", "yes", "1/0", "404")
	startVoicemail(t, s, "mute.far.test").says(t, ctx, "1001", "no", "0/0", "403")

	// The call manager starts anew: what was said is still true.
	must(t, s.Close(ctx))
	s = startSite(t, edit, lab.Options{Home: home})
	alice.Stop()
	alice = phoneOf(s)
	told(alice, 0, "Voice-Message: 2/8 (0/2)")
	vm = startVoicemail(t, s, "vm.far.test")
	mark = len(alice.Output())
	vm.says(t, ctx, "1001", "no", "0/8 (0/2)", "200")
	told(alice, mark, "Messages-Waiting: no")
	s.mailbox(t, ctx, "1001", []string{"alice"}, func(m bus.MessageState) bool { return !m.Waiting && m.New == 0 && m.Old == 8 })
}

// mailbox waits until `show mwi` says so, and the devices have heard it.
func (s *testSite) mailbox(t *testing.T, ctx context.Context, line string, heard []string, want func(bus.MessageState) bool) {
	t.Helper()
	var rows []bus.MessageState
	eventually(t, ctx, "mailbox "+line, func() bool {
		rows = show[bus.MessageState](t, s, bus.VerbMessages, line)
		return len(rows) == 1 && want(rows[0]) && slices.Equal(rows[0].Acknowledged, heard)
	})
	t.Logf("%+v", rows[0])
}

// TestBaresipLamp has baresip watch a line by presence (RFC 3856), as its contacts say.
func TestBaresipLamp(t *testing.T) {
	Need(t, baresip, sox)
	t.Parallel()
	s := startSite(t, func(c *config.Site) { addPhone(c, "dave", "1004", "encrypted") }, lab.Options{})
	ctx := within(t, 60*time.Second)
	f := s.certificate(t, pki.KindDevice, "alice")
	bob, err := s.Registered(ctx, "bob", "1002")
	must(t, err)
	t.Cleanup(func() { _ = bob.Close(context.Background()) })
	alice, err := StartBaresip(ctx, folder(t, "alice"), BaresipConfig{User: "1001", Domain: "locktone.test", Proxy: s.addr, Certificate: f.both, CA: f.ca, Tone: makeTone(t, 400, 1),
		Modules: []string{"contact", "presence"}, Contacts: []string{`"Bob" <sip:1002@locktone.test>;presence=p2p`}})
	must(t, err)
	t.Cleanup(alice.Stop)
	must(t, alice.Registered(ctx))
	watched := func() (bus.WatchState, bool) {
		rows := show[bus.WatchState](t, s, bus.VerbSubscriptions, "alice")
		if len(rows) == 0 {
			return bus.WatchState{}, false
		}
		return rows[0], rows[0].LastStatus == 200
	}
	var row bus.WatchState
	eventually(t, ctx, "baresip's subscription", func() (ok bool) { row, ok = watched(); return ok })
	if row.Event != "presence" || row.Number != "1002" {
		t.Errorf("it watches %+v", row)
	}
	var c *phone.Call
	c, err = bob.Dial(ctx, "9196")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	before := row.Notifies
	eventually(t, ctx, "a NOTIFY that baresip took", func() (ok bool) { row, ok = watched(); return ok && row.Notifies > before })
	must(t, c.Hangup(ctx))
	t.Logf("%+v", row)
}
