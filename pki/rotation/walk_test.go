package rotation

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// populate makes phones of every sort that hold what the world publishes now.
func (w *world) populate(r *rand.Rand, from, count int) {
	for n := from; n < from+count; n++ {
		p := &phone{name: fmt.Sprintf("SEP%012X", n), seen: noon}
		switch r.IntN(8) {
		case 0:
			p.jtapi, p.name = true, fmt.Sprintf("JTAPI%d", n)
		case 1:
			p.peer, p.name = true, fmt.Sprintf("trunk%d", n)
			p.trust(w, r.IntN(2) == 0)
			w.phones = append(w.phones, p)
			continue
		case 2:
			p.oldPhone = true
		}
		p.mic = r.IntN(3) == 0
		if r.IntN(2) == 0 {
			p.limit = 2
		}
		if r.IntN(8) > 0 { // the others were never switched on
			p.ctl, p.itl, _ = w.fetch(p)
		}
		if p.jtapi {
			p.itl = nil
		}
		if p.ctl != nil && r.IntN(4) > 0 {
			p.lsc = w.newLSC(p.name, pool.signer(w.t, false, 0))
		}
		w.phones = append(w.phones, p)
	}
}

// trust gives a peer the root of what it sees now, or the very certificate.
func (p *phone) trust(w *world, root bool) {
	cm := w.active("callmanager").cert
	p.roots = x509.NewCertPool()
	if !root {
		p.knows = append(p.knows, cm)
		return
	}
	for _, x := range w.certs {
		if x.cert.IsCA && cm.CheckSignatureFrom(x.cert) == nil {
			p.knows = append(p.knows, x.cert)
			p.roots.AddCert(x.cert)
		}
	}
}

// told is a peer whose operator was given what follows what he has.
func (p *phone) told(w *world) *phone {
	n := *p
	n.knows, n.roots = slices.Clone(p.knows), x509.NewCertPool()
	for _, m := range w.state.Members {
		has := slices.ContainsFunc(p.knows, func(c *x509.Certificate) bool { return strings.HasPrefix(c.Subject.CommonName, m.Name+"-g") })
		for _, g := range m.Generations {
			if c := w.certs[g.ID].cert; has && !slices.ContainsFunc(n.knows, c.Equal) {
				n.knows = append(n.knows, c)
			}
		}
	}
	for _, c := range n.knows {
		if c.IsCA {
			n.roots.AddCert(c)
		}
	}
	return &n
}

// choices are the phones this one may be after a step, depending on whether it was awake.
func (w *world) choices(p *phone, a Action) []*phone {
	if a != Publish && a != Replace && a != Activate {
		return []*phone{p}
	}
	if p.peer {
		return []*phone{p, p.told(w)}
	}
	out := []*phone{p}
	if ctl, itl, ok := w.fetch(p); ok {
		n := *p
		n.ctl, n.itl = ctl, itl
		if p.jtapi {
			n.itl = nil
		}
		out = append(out, &n)
	}
	for _, q := range slices.Clone(out) {
		ca, _ := w.state.Member("ca")
		g, _ := ca.Active()
		if q.lsc != nil && q.lsc.Issuer.CommonName != string(g.ID) && w.enrols(q, q.ctl) {
			n := *q
			n.lsc = w.newLSC(q.name, pool.signer(w.t, false, 0))
			out = append(out, &n)
		}
	}
	return out
}

// randomSteps is any sequence of things an operator may do.
func randomSteps(r *rand.Rand, w *world, count int) (steps []Step) {
	all := []string{"ca", "sast-1", "sast-2", RecoveryName, "callmanager", "provisioning", "capf", "tvs"}
	for range count {
		a := []Action{Stage, Publish, Activate, Retire, Replace, Replace}[r.IntN(6)]
		var members []string
		for _, m := range all {
			if a != Publish && r.IntN(3) == 0 {
				members = append(members, m)
			}
		}
		if a != Publish && members == nil {
			members = []string{all[r.IntN(len(all))]}
		}
		steps = append(steps, Step{Action: a, Members: members})
	}
	return steps
}

// TestVictimsAreTheVictims: for random sites, devices and steps, whom the planner names is exactly whom real devices with real
// lists, sleeping through them in the worst way, end up as.
func TestVictimsAreTheVictims(t *testing.T) {
	walks := 8
	if os.Getenv("LOCKTONE_ALL") != "" {
		walks = 300
	}
	hit, spared := 0, 0
	for seed := range walks {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		w := newWorld(t)
		for n := range 3 { // devices that fell asleep at different times
			w.populate(r, 100*n, 8)
			for _, st := range randomSteps(r, w, 2) {
				w.do(w.filled(st))
			}
		}
		steps := randomSteps(r, w, 4)
		s, ds, err := w.Graph(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := newBuilder(s, ds, Options{})
		for _, st := range steps {
			b.add(st)
		}
		worlds := []*world{w}
		for i, st := range steps {
			next := worlds[i].fork()
			next.do(next.filled(st))
			worlds = append(worlds, next)
		}
		var real []string
		for _, p := range w.phones {
			if doomed(p, worlds, steps) {
				real = append(real, p.name)
			}
		}
		slices.Sort(real)
		if got := names(b.victims); !slices.Equal(got, real) {
			for _, v := range b.victims {
				t.Logf("%s: %s %s", v.Device, v.Fate, v.Why)
			}
			t.Fatalf("seed %d, steps %+v\n(-simulated +planned):\n%s", seed, steps, cmp.Diff(real, got))
		}
		hit, spared = hit+len(real), spared+len(w.phones)-len(real)
	}
	t.Logf("%d walks: %d devices lost, as foretold; %d not", walks, hit, spared)
	if hit == 0 || spared == 0 {
		t.Error("the walks show one outcome only: they prove nothing")
	}
}

// doomed reports whether there is a way to sleep through the steps by which the phone ends worse than it began.
func doomed(p *phone, worlds []*world, steps []Step) bool {
	base := worlds[0].fate(p)
	var walk func(p *phone, i int) bool
	walk = func(p *phone, i int) bool {
		if i > len(steps) {
			return false
		}
		if worlds[i].fate(p) > base {
			return true
		}
		return slices.ContainsFunc(worlds[i].choices(p, steps[i-1].Action), func(q *phone) bool { return walk(q, i+1) })
	}
	return walk(p, 1)
}

// filled is a step with the generations it is about.
func (w *world) filled(st Step) Step {
	next := w.state.after(st)
	for _, name := range st.Members {
		m, _ := next.Member(name)
		g, ok := m.in(Staged)
		if !ok || st.Action != Stage {
			g, _ = m.Active()
		}
		st.IDs = append(st.IDs, g.ID)
	}
	return st
}
