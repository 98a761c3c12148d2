package lab_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// keyBook makes keys and remembers every one, so that a test can look for them where they must not be.
type keyBook struct {
	mu   sync.Mutex
	made [][]byte
}

// Key implements desc.KeySource.
func (b *keyBook) Key(s sdp.Suite) (sdp.Key, error) {
	k, err := media.CryptoKeys{}.Key(s)
	if key, salt, ok := k.Reveal(s); ok {
		b.mu.Lock()
		b.made = append(b.made, bytes.Clone(key), append(bytes.Clone(key), salt...))
		b.mu.Unlock()
	}
	return k, err
}

// in lists the forms of keys that are in a text.
func (b *keyBook) in(text []byte) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, k := range b.made {
		enc := base64.StdEncoding.EncodeToString(k)
		for form, want := range map[string]string{"raw": string(k), "base64": strings.TrimRight(enc, "=")[:len(k)*4/3-1], "hex": hex.EncodeToString(k), "HEX": strings.ToUpper(hex.EncodeToString(k)),
			"JSON bytes": strings.Trim(strings.ReplaceAll(fmt.Sprint(k), " ", ","), "[]")} {
			if bytes.Contains(text, []byte(want)) {
				found = append(found, fmt.Sprintf("key %d %s", i, form))
			}
		}
	}
	return found
}

// tap is a network whose sockets are the host's and which keeps the newest packets, by who sent them.
type tap struct {
	mu      sync.Mutex
	out, in [][]byte
}

func (n *tap) ListenUDP(at netip.AddrPort) (rtpport.Conn, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	return tapped{c, n}, err
}

type tapped struct {
	*net.UDPConn
	tap *tap
}

func (c tapped) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.UDPConn.ReadFromUDPAddrPort(b)
	c.tap.keep(&c.tap.in, b[:max(0, n)])
	return n, from, err
}

func (c tapped) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.tap.keep(&c.tap.out, b)
	return c.UDPConn.WriteToUDPAddrPort(b, to)
}

// keep keeps an RTP packet (RFC 5761, 4: payload types 64 to 95 are RTCP).
func (n *tap) keep(list *[][]byte, b []byte) {
	if len(b) < 20 || b[0]>>6 != 2 || b[1]&0x7f >= 64 && b[1]&0x7f < 96 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	*list = append(*list, bytes.Clone(b))
	if len(*list) > 50 {
		*list = (*list)[1:]
	}
}

// opens says whether a packet that passes from now on is opened by a key.
func (n *tap) opens(ctx context.Context, list *[][]byte, k sdp.Crypto) bool {
	n.mu.Lock()
	*list = nil
	n.mu.Unlock()
	for ctx.Err() == nil {
		time.Sleep(40 * time.Millisecond) // two packets' time
		n.mu.Lock()
		packets := *list
		n.mu.Unlock()
		if len(packets) < 5 {
			continue
		}
		r, err := srtp.NewReceiver(k)
		if err != nil {
			return false
		}
		_, verdict := r.RTP(nil, packets[len(packets)-1])
		return verdict == srtp.Accepted
	}
	return false
}

// prover is the service of a name, with certificates of the site's own authority.
func prover(ctx context.Context, t *testing.T, s *lab.Site, name string) live.Prover {
	t.Helper()
	c, err := s.CA.Service(ctx, pki.ServiceSpec{Name: name, Host: name + ".locktone.test"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := pki.NewIdentity(name, pki.Snapshot{Certificates: c, Trust: s.Identity(callmanager.Name).Snapshot().Trust}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(text []byte) ([][]byte, []byte, error) {
		p, err := id.Prove(live.KeyProofPurpose, text)
		return p.Chain, p.Signature, err
	}
}

// keysOf waits for the keys of a device that are other than those before.
func keysOf(ctx context.Context, t *testing.T, s *lab.Site, f *live.KeyFollower, r *sealed.Receiver, device string) sealed.Keys {
	t.Helper()
	for {
		select {
		case n, open := <-f.Notes():
			if !open || n.Lost != "" {
				t.Fatalf("waiting for keys of %s: %+v", device, n)
			}
			b := sealed.Binding{Cluster: "locktone", Node: s.Bus.Node(), Service: callmanager.Name, Call: uint64(n.Call), Leg: uint64(n.Leg), Receiver: n.Receiver, Session: n.Session, N: n.N}
			k, err := r.Open(b, n.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			other, _ := sealed.NewReceiver()
			if _, err := other.Open(b, n.Sealed); err == nil {
				t.Fatal("another receiver has opened the keys")
			}
			if n.Device == device && !k.IsZero() {
				return k
			}
		case <-ctx.Done():
			t.Fatal("no keys of " + device)
		}
	}
}

// TestSealedKeys: the entitled application's service gets the keys of a call and opens its packets with them, those in force and those that
// come; nobody else gets any; and no key is on the bus, in a trace, a record, an archive or any file of the site.
func TestSealedKeys(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	book := &keyBook{}
	sc := config.Default("node1")
	sc.Users = append(sc.Users, config.User{Name: "recorder", Devices: []string{"alice"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection, config.GroupCTISRTPKeys}}, config.User{Name: "curious", Devices: []string{"alice"}, Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISRTPKeys}})
	site, err := lab.Start(ctx, lab.Options{Config: sc, Tune: func(c *callmanager.Config) { c.Media.Keys = book }})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			site.Close(ctx)
		}
	}()
	everything, err := bus.SubscribeRaw(site.Bus, bus.Subject{Cluster: bus.Any, Node: bus.Any, Service: bus.Any, Verb: ">"}, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer everything.Close()
	engine := live.NewRemote(site.Bus, callmanager.Name).At(site.Bus.Node())
	events := live.NewRemote(site.Bus, callmanager.Name).Follow(live.Filter{}, site.Bus.Node())
	defer events.Close()
	go func() {
		for range events.Notes() {
		}
	}()

	wire := &tap{}
	start := func(device, number string, n *tap) *phone.Phone {
		p, err := site.Phone(ctx, device, number, func(c *phone.Config) {
			c.Media.Keys = book
			if n != nil {
				c.Media.Ports = rtpport.Default().On(n)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WaitRegistered(ctx); err != nil {
			t.Fatal(err)
		}
		return p
	}
	alice, bob := start("alice", "1001", wire), start("bob", "1002", nil)

	weaker, err := bus.Ask[bus.Query, []bus.Exception](ctx, site.Bus, site.Bus.Subject(callmanager.Name, bus.VerbExceptions), bus.Query{Name: "recorder"})
	if err != nil || len(weaker) != 1 || weaker[0].Value != config.GroupCTISRTPKeys.String() {
		t.Errorf("show exceptions says %+v, %v", weaker, err)
	}

	// Who is not entitled gets nothing: an application without the groups, one that is not there, a service that is not named, a stranger.
	stranger, err := site.Issue(ctx, pki.KindDevice, "alice")
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := sealed.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	manager := prover(ctx, t, site, "ctimanager")
	for what, f := range map[string]*live.KeyFollower{
		"without the groups": engine.FollowKeys("curious", receiver.Public(), manager),
		"unknown":            engine.FollowKeys("nobody", receiver.Public(), manager),
		"other service":      engine.FollowKeys("recorder", receiver.Public(), prover(ctx, t, site, "voicemail")),
		"no signature":       engine.FollowKeys("recorder", receiver.Public(), func([]byte) ([][]byte, []byte, error) { c, _, err := manager([]byte("x")); return c, []byte("x"), err }),
		"other message":      engine.FollowKeys("recorder", receiver.Public(), func([]byte) ([][]byte, []byte, error) { return manager([]byte("x")) }),
		"a device": engine.FollowKeys("recorder", receiver.Public(), func([]byte) ([][]byte, []byte, error) {
			return [][]byte{stranger.Leaf().Raw}, []byte("x"), nil
		}),
	} {
		if n := <-f.Notes(); !strings.Contains(n.Lost, string(bus.CodeForbidden)) {
			t.Errorf("%s: %+v", what, n)
		}
		f.Close()
	}

	a, err := alice.Dial(ctx, "1002")
	if err != nil {
		t.Fatal(err)
	}
	b := <-bob.Incoming()
	if err := b.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	keys := engine.FollowKeys("recorder", receiver.Public(), manager)
	k := keysOf(ctx, t, site, keys, receiver, "alice") // in force already
	if !wire.opens(ctx, &wire.out, k.Transmit) || !wire.opens(ctx, &wire.in, k.Receive) {
		t.Error("the keys do not open the packets of the call")
	}
	if wire.opens(ctx, &wire.out, k.Receive) {
		t.Error("the other way's key opens them too: the test shows nothing")
	}
	if err := b.Hold(ctx); err != nil { // alice hears music, with other keys
		t.Fatal(err)
	}
	held := keysOf(ctx, t, site, keys, receiver, "alice")
	if held.Receive.SameKey(k.Receive) || !wire.opens(ctx, &wire.in, held.Receive) {
		t.Error("the keys of the music do not open it")
	}
	if err := b.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if back := keysOf(ctx, t, site, keys, receiver, "alice"); !wire.opens(ctx, &wire.in, back.Receive) || !wire.opens(ctx, &wire.out, back.Transmit) {
		t.Error("the keys after the resume do not open the packets")
	}
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	keys.Close()
	for _, p := range []*phone.Phone{alice, bob} {
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	lookEverywhere(ctx, t, site, book, everything)
	closed = true
	if err := site.Store.Close(); err != nil { // so that the files are whole
		t.Error(err)
	}
	lookIntoFiles(t, site.Home(), book)
	_ = site.Close(ctx)
}

// lookEverywhere looks for keys on the bus and in the records.
func lookEverywhere(ctx context.Context, t *testing.T, site *lab.Site, book *keyBook, everything *bus.Subscription[[]byte]) {
	t.Helper()
	var legs []store.LegRecord
	var err error
	for len(legs) < 2 && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond) // nothing announces a row
		if legs, err = site.Store.Legs(ctx, store.CallQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	if found := book.in(fmt.Appendf(nil, "%+v", legs)); len(found) > 0 {
		t.Errorf("records hold %v", found)
	}
	if err := site.Bus.Flush(); err != nil {
		t.Fatal(err)
	}
	everything.Close()
	messages, sealedOnes, eventsSeen := 0, 0, 0
	for m := range everything.C() {
		messages++
		if strings.Contains(m.Subject, "."+live.VerbKeys+".") {
			sealedOnes++
		}
		if strings.Contains(m.Subject, "."+live.VerbEvents+".") {
			eventsSeen++
		}
		if found := book.in(m.Value); len(found) > 0 {
			t.Errorf("%s holds %v", m.Subject, found)
		}
	}
	if messages < 20 || sealedOnes < 3 || eventsSeen < 3 || everything.Dropped() > 0 {
		t.Errorf("the whole bus was %d messages, %d of them sealed keys, %d events, %d lost", messages, sealedOnes, eventsSeen, everything.Dropped())
	}
	if control := book.in([]byte("a=crypto:1 x inline:" + base64.StdEncoding.EncodeToString(book.made[1]))); len(control) == 0 {
		t.Error("a key in a description is not found: the test finds nothing")
	}
	if len(book.made) < 8 {
		t.Errorf("%d keys were made: the test looks for too few", len(book.made)/2)
	}
}

// lookIntoFiles looks for keys in every file of a folder.
func lookIntoFiles(t *testing.T, home string, book *keyBook) {
	t.Helper()
	traces := 0
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the database that was closed just now takes its working files away
		}
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".jsonl") && bytes.Contains(text, []byte("INVITE")) && bytes.Contains(text, []byte("a=crypto")) {
			traces++
		}
		if found := book.in(text); len(found) > 0 {
			t.Errorf("%s holds %v", path, found)
		}
		return nil
	})
	if err != nil || traces == 0 {
		t.Errorf("%v; %d traces with the call in them", err, traces)
	}
}
