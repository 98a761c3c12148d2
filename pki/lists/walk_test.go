package lists

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// device is somebody who fetches lists, and believes them by a rule of its own.
type device struct {
	name  string
	rule  func(d *device, fresh *trustlist.List) error
	kinds []trustlist.Kind
	held  map[trustlist.Kind]*trustlist.List
}

func byPhone(d *device, fresh *trustlist.List) error {
	_, err := trustlist.AcceptPhone(fresh, d.held[trustlist.CTL], d.held[trustlist.ITL])
	return err
}

func byJTAPI(d *device, fresh *trustlist.List) error {
	_, err := trustlist.AcceptJTAPI(fresh, d.held[trustlist.CTL])
	return err
}

// byOldPhone knows the first two SAST entries of the list it holds and nothing else.
func byOldPhone(d *device, fresh *trustlist.List) error {
	if _, err := fresh.Verify(trustlist.PhoneReading); err != nil {
		return err
	}
	held := d.held[fresh.Kind]
	if held == nil {
		return nil
	}
	signer, _ := fresh.Signer()[0].Fingerprint()
	for _, r := range held.ByRole(trustlist.RoleSAST)[:2] {
		if f, ok := r.Fingerprint(); ok && f == signer {
			return nil
		}
	}
	return fmt.Errorf("signed by %s, who is not among the first two of the list held", fresh.Header.Signer.Subject)
}

// walk is one random history of a site and its devices.
type walk struct {
	*site
	r          *rand.Rand
	devices    []*device
	generation map[string]map[int]pki.State // of certificates, by service
	highest    map[string]int               // generation, by service and by signer
	lost       bool
	did        []string
}

func newWalk(t testing.TB, seed uint64) *walk {
	w := &walk{site: newSite(t), r: rand.New(rand.NewPCG(seed, 7)), generation: make(map[string]map[int]pki.State), highest: make(map[string]int)}
	for service := range roles {
		w.generation[service] = map[int]pki.State{1: pki.StateActive}
	}
	both := []trustlist.Kind{trustlist.CTL, trustlist.ITL}
	for i := range 4 {
		w.devices = append(w.devices,
			&device{name: fmt.Sprintf("SEP00000000000%d", i), rule: byPhone, kinds: both},
			&device{name: fmt.Sprintf("SEP00000000001%d", i), rule: byOldPhone, kinds: both},
			&device{name: Holder("", netip.AddrFrom4([4]byte{127, 0, 0, byte(i)})), rule: byJTAPI, kinds: both[:1]})
	}
	for _, d := range w.devices {
		d.held = make(map[trustlist.Kind]*trustlist.List)
	}
	w.all(1)
	w.publish()
	return w
}

// fetch is a device that takes a list: the invariant is here.
func (w *walk) fetch() {
	d := w.devices[w.r.IntN(len(w.devices))]
	kind := d.kinds[w.r.IntN(len(d.kinds))]
	l, f := w.list(d.name, kind)
	if err := d.rule(d, l); err != nil || f.Doubt != "" {
		w.t.Fatalf("%s cannot verify version %d of the %s: %v; doubt %q\nhistory: %v", d.name, f.Version, kind, err, f.Doubt, w.did)
	}
	event := Fetch{Device: d.name, Kind: kind, Version: f.Version, Signer: f.Signer, Time: w.now}
	w.holdings.Fetched(event)
	if w.r.IntN(3) == 0 {
		return // it was fetched, and lost on the way to the flash
	}
	d.held[kind] = l
	if w.r.IntN(2) == 0 {
		w.holdings.Confirmed(event)
	}
}

func (w *walk) signer() {
	name := pki.SignerNames()[w.r.IntN(3)]
	staged := w.signers.in(name, pki.StateStaged)
	switch {
	case staged == nil:
		w.highest[name] = max(w.highest[name], 1) + 1
		w.signers.add(name, w.highest[name], pki.StateStaged)
		w.note("stage", name)
	case w.r.IntN(4) == 0:
		w.signers.remove(printOf(*staged))
		w.note("discard", name)
	default:
		w.signers.activate(name)
		w.note("activate", name)
	}
}

// retire forgets a retiring signer when nobody depends on it, as rotation does.
func (w *walk) retire() {
	var left []Fingerprint
	var gone *pki.Signer
	for _, x := range w.signers.All() {
		switch {
		case x.State == pki.StateRetiring && gone == nil:
			gone = &x
		case x.State != pki.StateStaged && x.Online():
			left = append(left, printOf(x))
		}
	}
	if gone == nil {
		return
	}
	if victims := must(w.reader.Dependants(w.t.Context(), left))(w.t); gone.Online() && len(victims) > 0 {
		w.note("keep", gone.Certificate.Subject.CommonName)
		return
	}
	w.signers.remove(printOf(*gone))
	w.note("retire", gone.Certificate.Subject.CommonName)
}

// lose takes one SAST key away for good, once in a walk.
func (w *walk) lose() {
	name := pki.SignerNames()[w.r.IntN(2)]
	x := w.signers.in(name, pki.StateActive)
	if w.lost || slices.ContainsFunc(w.signers.all, func(x pki.Signer) bool { return x.State == pki.StateRetiring }) {
		return
	}
	w.lost = true
	w.signers.lose(printOf(*x))
	w.note("lose", x.Certificate.Subject.CommonName)
}

func (w *walk) service() {
	names := []string{"callmanager", "capf", "provisioning", "tvs"}
	name := names[w.r.IntN(len(names))]
	states := w.generation[name]
	w.highest[name] = max(w.highest[name], 1)
	switch w.r.IntN(3) {
	case 0:
		w.highest[name]++
		states[w.highest[name]] = pki.StateStaged
	case 1:
		promoteStaged(states)
	case 2:
		for g, s := range states {
			if s == pki.StateRetiring || s == pki.StateStaged && w.r.IntN(2) == 0 {
				delete(states, g)
			}
		}
	}
	w.announce(member(w.t, name, 1, states))
	w.note("service", name, fmt.Sprint(states))
}

func promoteStaged(states map[int]pki.State) {
	newest := 0
	for g, s := range states {
		if s == pki.StateStaged {
			newest = max(newest, g)
		}
	}
	if newest == 0 {
		return
	}
	for g, s := range states {
		if s == pki.StateActive {
			states[g] = pki.StateRetiring
		}
	}
	states[newest] = pki.StateActive
}

func (w *walk) note(words ...string) { w.did = append(w.did, fmt.Sprint(words)) }

func (w *walk) step() {
	switch n := w.r.IntN(20); {
	case n < 10:
		w.fetch()
	case n < 12:
		w.publish()
	case n < 14:
		w.signer()
	case n == 14:
		w.retire()
	case n == 15:
		w.lose()
	case n == 16:
		w.service()
	case n == 17:
		w.mode = config.Mixed + config.SecurityMode(w.r.IntN(2))
	case n == 18:
		if err := w.pub.SignWith(w.t.Context(), pki.SignerNames()[w.r.IntN(2)]); err != nil {
			w.t.Fatal(err)
		}
	default:
		w.open()
		w.note("restart")
	}
}

// TestWalk: whatever is published, rotated, lost and restarted, every device that holds any version can verify the variant
// it is served, by the rules of phones, of phones that know two signers, and of JTAPI clients.
func TestWalk(t *testing.T) {
	walks, steps := 6, 100
	if testing.Short() {
		walks = 2
	}
	versions := 0
	for seed := range walks {
		w := newWalk(t, uint64(seed))
		for range steps {
			w.step()
		}
		for _, kind := range Kinds() {
			last := 0
			for _, v := range must(w.reader.Versions(t.Context(), kind))(t) {
				if v.Number <= last {
					t.Errorf("version %d after %d", v.Number, last)
				}
				last = v.Number
			}
			versions += last
		}
	}
	t.Logf("%d versions in %d walks", versions, walks)
}
