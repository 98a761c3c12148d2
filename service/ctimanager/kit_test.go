package ctimanager

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// fakeWorld is a site on paper.
type fakeWorld struct {
	cfg    *config.Site
	number int64
	at     map[string]place
	view   *siteView
	tags   uint64
	set    map[call.LineID]call.Settings
}

func (w *fakeWorld) site() *siteView { return w.view }
func (w *fakeWorld) registration(device string) (place, bool) {
	p, ok := w.at[device]
	return p, ok
}
func (w *fakeWorld) certificate() []byte { return []byte("certificate") }
func (w *fakeWorld) settings(line call.LineID, _ string) call.Settings {
	return w.set[line]
}
func (w *fakeWorld) mint() uint64 {
	w.tags++
	return 0x101<<32 | w.tags
}

// change changes the site.
func (w *fakeWorld) change(f func(*config.Site)) {
	if f != nil {
		f(w.cfg)
	}
	w.number++
	w.view = viewOf(directory.Compile(w.number, w.cfg), w.cfg, nodeNumbers{"node1"})
}

// paper is a site with two phones of one application, and one of nobody.
func paper() *fakeWorld {
	c := config.Default("node1")
	c.Devices = append(c.Devices, config.Device{Name: "carol", DevicePool: "default", Lines: []config.Appearance{{Number: "1003", Partition: "internal"}, {Number: "1001", Partition: "internal"}}})
	c.Lines = append(c.Lines, config.Line{Number: "1003", Partition: "internal"})
	c.Users = append(c.Users, config.User{Name: "app", Application: true, Devices: []string{"alice", "bob"}, Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
	w := &fakeWorld{cfg: c, at: map[string]place{"alice": {Node: "node1", Remote: netip.MustParseAddr("192.0.2.1")}}}
	w.change(nil)
	return w
}

// kit drives one provider.
type kit struct {
	*fakeWorld
	p   *provider
	now time.Time
	seq uint32
}

func newKit(secure bool) *kit {
	k := &kit{fakeWorld: paper(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	k.p = newProvider(k.fakeWorld, caller{number: 7, node: "node1", secure: secure, remote: netip.MustParseAddrPort("192.0.2.9:40000"), nonce: "nonce-of-36-characters-xxxxxxxxxxxxxx",
		login: time.Minute, limits: Limits{}.withDefaults()}, newAnswerTable(), k.now)
	return k
}

// step gives the provider an input and returns what it says and does, one line each.
func (k *kit) step(in input) (out []string) {
	for _, o := range k.p.Step(k.now, in) {
		switch o := o.(type) {
		case frame:
			if b := ctiqbe.Append(nil, o.version, o.message); len(b) < 32 {
				panic("a frame without a head")
			}
			out = append(out, "< "+text(o.message))
		case remark:
		case run:
			out = append(out, fmt.Sprintf("do %T", o.errand))
		default:
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%T%+v", o, o), "ctimanager."))
		}
	}
	return out
}

// say is step with a request.
func (k *kit) say(m ctiqbe.Message) []string {
	if n, ok := ctiqbe.Sequence(m); ok && n == 0 {
		k.seq++
		ctiqbe.SetSequence(m, k.seq)
	}
	return k.step(received{message: m, header: ctiqbe.Header{PDU: m.PDU(), Version: ctiqbe.Newest}})
}

// answer answers the errand of which name is part: the oldest, else nil.
func (k *kit) answer(value any, err error) []string {
	for id := uint64(1); id <= k.p.next; id++ {
		if _, ok := k.p.pendings[id]; ok {
			return k.step(asked{id: id, Value: value, Err: err})
		}
	}
	return []string{"nothing is pending"}
}

// wait lets time go by, up to what is due.
func (k *kit) wait(d time.Duration) (out []string) {
	for end := k.now.Add(d); k.now.Before(end); {
		k.now = end
		if at := k.p.deadline(); !at.IsZero() && at.Before(end) {
			k.now = at
		}
		for _, s := range k.step(tick{}) {
			out = append(out, fmt.Sprintf("%s %s", k.now.Format("15:04:05"), s))
		}
	}
	return out
}

// login logs the application in.
func (k *kit) login() {
	k.say(&ctiqbe.ProviderInitRequest{})
	k.say(&ctiqbe.ProviderOpenRequest{Login: "app", DesiredServerHeartbeatTime: 30, Filter: ctiqbe.ProviderEventFilter{DeviceRegistered: true, DeviceUnregistered: true}})
	k.answer(checkedLogin{user: "app", days: login.Never}, nil)
	if k.p.who.secure {
		k.answer((*refusal)(nil), nil)
	}
}

// text is a message in a line: what is not zero.
func text(m ctiqbe.Message) string {
	return strings.TrimSpace(m.PDU().String() + " " + fields(reflect.ValueOf(m).Elem()))
}

func fields(v reflect.Value) string {
	var parts []string
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			parts = append(parts, v.Type().Field(i).Name+"="+valueText(f))
		}
	}
	return strings.Join(parts, " ")
}

func valueText(v reflect.Value) string {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		return "{" + fields(v) + "}"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%q", v.Bytes())
		}
		var parts []string
		for i := range v.Len() {
			parts = append(parts, valueText(v.Index(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}

// expect compares what was said and done.
func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range got {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%s: line %d:\n%s\nwant\n%s", what, i, got[i], want[i])
		}
	}
}

var errBroken = errors.New("broken")
