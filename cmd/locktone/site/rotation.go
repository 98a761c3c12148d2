package site

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/wire/trustlist"
)

// rotated is the site as package rotation works on it. Members are called "callmanager@node1", the signers as package pki calls
// them, the roots "ca".
type rotated struct{ s *Site }

// rootsMember is the name of the authority's roots.
const rootsMember = "ca"

func memberName(service, node string) string { return service + "@" + node }

// Graph implements rotation.Site.
func (r rotated) Graph(ctx context.Context) (rotation.State, []rotation.Device, error) {
	g := &graph{s: r.s, ctx: ctx, state: rotation.State{Time: time.Now()}}
	for _, part := range []func() error{g.services, g.signers, g.roots, g.published, g.devices} {
		if err := part(); err != nil {
			return rotation.State{}, nil, err
		}
	}
	return g.state, g.all, nil
}

// graph gathers what a Graph is made of.
type graph struct {
	s     *Site
	ctx   context.Context
	state rotation.State
	all   []rotation.Device
	known map[versionKey]rotation.Held // what a list tells, by its number
}

type versionKey struct {
	kind   trustlist.Kind
	number int
	signer lists.Fingerprint
}

func phaseOf(s pki.State) rotation.Phase {
	switch s {
	case pki.StateActive:
		return rotation.Active
	case pki.StateRetiring:
		return rotation.Retiring
	}
	return rotation.Staged
}

// services are the members that the nodes announce.
func (g *graph) services() error {
	members, err := g.s.members.All(g.ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		name := memberName(m.Service, m.Node)
		out := rotation.Member{Name: name, Service: m.Service, Kind: rotation.Service}
		for _, c := range m.Certificates {
			if slices.ContainsFunc(out.Generations, func(x rotation.Generation) bool { return x.Number == c.Generation }) {
				continue
			}
			cert, err := x509.ParseCertificate(c.DER)
			if err != nil {
				return fmt.Errorf("certificate of %s: %w", name, err)
			}
			out.Generations = append(out.Generations, rotation.Generation{ID: rotation.NewID(name, c.Generation), Number: c.Generation, Phase: phaseOf(c.State),
				Issuer: g.issuer(pki.RefOf(cert).Issuer), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter})
		}
		slices.SortFunc(out.Generations, func(a, b rotation.Generation) int { return a.Number - b.Number })
		g.state.Members = append(g.state.Members, out)
	}
	return nil
}

// issuer is the generation of our roots that bears the name, empty for a foreign one.
func (g *graph) issuer(name string) rotation.ID {
	for _, x := range g.s.CA.Generations() {
		if name == x.ECDSA.Subject.String() || name == x.RSA.Subject.String() {
			return rotation.NewID(rootsMember, x.Number)
		}
	}
	return ""
}

func (g *graph) signers() error {
	for _, name := range pki.SignerNames() {
		m := rotation.Member{Name: name, Kind: rotation.Signer}
		for _, x := range g.s.Signers.All() {
			if x.Name == name {
				m.Generations = append(m.Generations, rotation.Generation{ID: rotation.NewID(name, x.Generation), Number: x.Generation, Phase: phaseOf(x.State),
					NotBefore: x.Certificate.NotBefore, NotAfter: x.Certificate.NotAfter, Offline: !x.Online()})
			}
		}
		g.state.Members = append(g.state.Members, m)
	}
	return nil
}

func (g *graph) roots() error {
	m := rotation.Member{Name: rootsMember, Kind: rotation.Root}
	for _, x := range g.s.CA.Generations() {
		m.Generations = append(m.Generations, rotation.Generation{ID: rotation.NewID(rootsMember, x.Number), Number: x.Number, Phase: phaseOf(x.State),
			NotBefore: x.RSA.NotBefore, NotAfter: x.RSA.NotAfter})
	}
	g.state.Members = append(g.state.Members, m)
	return nil
}

// published is what CTL and ITL name together.
func (g *graph) published() error {
	for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
		v, err := g.s.Lists.Current(g.ctx, kind)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		g.state.Published.Version = max(g.state.Published.Version, v.Number)
		for _, r := range v.Signers {
			g.state.Published.Signers = with(g.state.Published.Signers, rotation.NewID(r.Service, r.Generation))
		}
		for _, r := range v.Records {
			g.state.Published.Others = with(g.state.Published.Others, rotation.NewID(memberName(r.Service, r.Node), r.Generation))
		}
		g.variants(kind, v)
	}
	return nil
}

// variants are the signers of whose hand there are both lists.
func (g *graph) variants(kind trustlist.Kind, v lists.Version) {
	var signed []rotation.ID
	for _, x := range v.Variants {
		at := slices.IndexFunc(v.Signers, func(r lists.Record) bool { return r.Fingerprint == x.Signer })
		if at >= 0 {
			signed = append(signed, rotation.NewID(v.Signers[at].Service, v.Signers[at].Generation))
		}
	}
	if kind == trustlist.CTL {
		g.state.Published.Variants = signed
		return
	}
	g.state.Published.Variants = slices.DeleteFunc(g.state.Published.Variants, func(id rotation.ID) bool { return !slices.Contains(signed, id) })
}

func with[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// devices are the phones of the configuration, the clients that fetched lists besides, and the far ends of trunks.
func (g *graph) devices() error {
	now, err := g.s.Store.Site(g.ctx)
	if err != nil {
		return err
	}
	held, err := g.s.Holdings.All(g.ctx)
	if err != nil {
		return err
	}
	lscs, err := g.lscs()
	if err != nil {
		return err
	}
	book, err := g.s.Profiles.List(g.ctx)
	if err != nil {
		return err
	}
	profiles := map[string]capfprofile.Profile{}
	for _, p := range book {
		profiles[p.CommonName()] = p
	}
	seen := map[string]bool{}
	for _, h := range held {
		seen[h.Holder] = true
		d := rotation.Device{Name: h.Holder, LSC: lscs[h.Holder], LastSeen: h.Seen, NoTVS: !desk(h.Holder), SignerLimit: signerLimit(h.Holder), Reenrol: reenrols(profiles[h.Holder])}
		if err := g.holds(&d, h); err != nil {
			return err
		}
		g.all = append(g.all, d)
	}
	dir := directory.Compile(now.Revision.Number, now.Site)
	for _, x := range dir.Devices() {
		if !seen[x.Name] && !x.Protocol.Terminal() {
			g.all = append(g.all, rotation.Device{Name: x.Name, LSC: lscs[x.Name], Reenrol: reenrols(profiles[x.Name])})
		}
	}
	for _, t := range dir.Trunks() {
		if t.Security.DeviceSecurityMode != config.NonSecure {
			g.all = append(g.all, rotation.Device{Name: t.Name, Peer: true, Held: rotation.Held{Knows: g.oldRoots()}})
		}
	}
	return nil
}

// oldRoots is what a trunk's far end is taken to have: the oldest roots there are, which it was given when it was set up.
func (g *graph) oldRoots() []rotation.ID {
	all := g.s.CA.Generations()
	return []rotation.ID{rotation.NewID(rootsMember, all[0].Number)}
}

// lscs are the newest certificates of devices and applications by the name they bear.
func (g *graph) lscs() (map[string]rotation.LSC, error) {
	entries, err := g.s.Store.Certificates().Entries(g.ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]rotation.LSC{}
	for _, e := range entries {
		if (e.Kind == pki.KindDevice || e.Kind == pki.KindCTI) && e.Revoked.IsZero() {
			out[e.Name] = rotation.LSC{Issuer: g.issuer(e.Issuer), NotAfter: e.NotAfter}
		}
	}
	return out, nil
}

// desk reports whether a holder is a desk phone: those ask TVS, and many remember two signers of a list.
func desk(holder string) bool { return strings.HasPrefix(holder, "SEP") }

func signerLimit(holder string) int {
	if desk(holder) {
		return 2
	}
	return 0
}

// reenrols says whether a pending operation lets its owner in without its present certificate.
func reenrols(p capfprofile.Profile) bool {
	return p.Operation == capfprofile.InstallUpgrade && p.Mode != capfprofile.ByExistingLSC
}

// holds fills in what a device may have: the newest copy of each list, and what it may hold instead.
func (g *graph) holds(d *rotation.Device, h lists.Holding) error {
	ctls, err := g.knowledge(trustlist.CTL, h.CTL.May())
	if err != nil {
		return err
	}
	itls, err := g.knowledge(trustlist.ITL, h.ITL.May())
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(ctls) {
		for _, i := range slices.Backward(itls) {
			both := rotation.Held{Version: max(c.Version, i.Version)}
			for _, id := range slices.Concat(c.Knows, i.Knows) {
				both.Knows = with(both.Knows, id)
			}
			slices.Sort(both.Knows)
			if d.Held.Knows == nil {
				d.Held = both
			} else {
				d.Or = append(d.Or, both)
			}
		}
	}
	return nil
}

// knowledge is what copies of a list tell; a device without any knows nothing.
func (g *graph) knowledge(kind trustlist.Kind, copies []lists.Copy) ([]rotation.Held, error) {
	if len(copies) == 0 {
		return []rotation.Held{{}}, nil
	}
	out := make([]rotation.Held, 0, len(copies))
	for _, c := range copies {
		h, err := g.told(kind, c)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func (g *graph) told(kind trustlist.Kind, c lists.Copy) (rotation.Held, error) {
	key := versionKey{kind, c.Version, c.Signer}
	if h, known := g.known[key]; known {
		return h, nil
	}
	v, err := g.s.Lists.Version(g.ctx, kind, c.Version)
	if err != nil {
		return rotation.Held{}, fmt.Errorf("%s version %d, which somebody holds: %w", kind, c.Version, err)
	}
	h := rotation.Held{Version: c.Version}
	variant, signed := v.Variant(c.Signer)
	for _, r := range v.Signers {
		if !signed || slices.Contains(variant.SAST, r.Fingerprint) {
			h.Knows = with(h.Knows, rotation.NewID(r.Service, r.Generation))
		}
	}
	for _, r := range v.Records {
		h.Knows = with(h.Knows, rotation.NewID(memberName(r.Service, r.Node), r.Generation))
	}
	slices.Sort(h.Knows)
	if g.known == nil {
		g.known = map[versionKey]rotation.Held{}
	}
	g.known[key] = h
	return h, nil
}

// announced lets the store know at once what a step has changed here, so that every node sees the same graph; the lists follow
// with the step that publishes.
func (r rotated) announced(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	r.s.announcing.Lock()
	defer r.s.announcing.Unlock()
	return r.s.announceLocked(ctx)
}

// Stage implements rotation.Site.
func (r rotated) Stage(ctx context.Context, member string, _ int) error {
	return r.announced(ctx, r.stage(ctx, member))
}

func (r rotated) stage(ctx context.Context, member string) error {
	switch x, kind := r.find(member); kind {
	case rotation.Root:
		if err := r.led(member); err != nil {
			return err
		}
		if _, err := r.s.CA.StageRoots(ctx); err != nil {
			return err
		}
		return r.s.use(ctx)
	case rotation.Signer:
		if err := r.led(member); err != nil {
			return err
		}
		_, err := r.s.Signers.Stage(ctx, member)
		return err
	default:
		if x == nil {
			return r.elsewhere(member)
		}
		if _, err := r.s.CA.Stage(ctx, x.spec); err != nil {
			return err
		}
		return nil
	}
}

// Activate implements rotation.Site.
func (r rotated) Activate(ctx context.Context, member string, _ int) error {
	return r.announced(ctx, r.activate(ctx, member))
}

func (r rotated) activate(ctx context.Context, member string) error {
	switch x, kind := r.find(member); kind {
	case rotation.Root:
		if err := r.led(member); err != nil {
			return err
		}
		if _, err := r.s.CA.ActivateRoots(ctx); err != nil {
			return err
		}
		if err := r.s.use(ctx); err != nil {
			return err
		}
		return r.renewLSCs(ctx)
	case rotation.Signer:
		if err := r.led(member); err != nil {
			return err
		}
		_, err := r.s.Signers.Activate(ctx, member)
		return err
	default:
		if x == nil {
			return r.elsewhere(member)
		}
		if _, err := r.s.CA.Activate(ctx, x.spec); err != nil {
			return err
		}
		_, err := r.s.CA.Refresh(ctx, x.identity, x.spec)
		return err
	}
}

// Retire implements rotation.Site.
func (r rotated) Retire(ctx context.Context, member string, generation int) error {
	return r.announced(ctx, r.retire(ctx, member, generation))
}

func (r rotated) retire(ctx context.Context, member string, generation int) error {
	switch x, kind := r.find(member); kind {
	case rotation.Root:
		if err := r.led(member); err != nil {
			return err
		}
		for _, g := range r.s.CA.Generations() {
			if g.Number < generation {
				if err := r.s.CA.RetireRoots(ctx, g.Number); err != nil {
					return err
				}
			}
		}
		return r.s.use(ctx)
	case rotation.Signer:
		if err := r.led(member); err != nil {
			return err
		}
		for _, g := range r.s.Signers.All() {
			if g.Name == member && g.Generation < generation {
				if err := r.s.Signers.Retire(ctx, member, g.Generation); err != nil {
					return err
				}
			}
		}
		return nil
	default:
		if x == nil {
			return r.elsewhere(member)
		}
		return r.s.CA.Retire(ctx, x.spec, generation-1)
	}
}

// Publish implements rotation.Site.
func (r rotated) Publish(ctx context.Context) error {
	if err := r.led("the lists"); err != nil {
		return err
	}
	return r.s.announce(ctx)
}

// led leaves what no node in particular has to the one that leads. A site with one node, which may not have the lead yet, needs no other.
func (r rotated) led(what string) error {
	if r.s.others() && !r.s.leads() {
		return fmt.Errorf("%s is the matter of the node that leads: %w", what, rotation.ErrElsewhere)
	}
	return nil
}

// find is the service of this node that a member is, or what else it is.
func (r rotated) find(member string) (*served, rotation.Kind) {
	if member == rootsMember {
		return nil, rotation.Root
	}
	if slices.Contains(pki.SignerNames(), member) {
		return nil, rotation.Signer
	}
	service, node, _ := strings.Cut(member, "@")
	if node != r.s.node.Node {
		return nil, rotation.Service
	}
	return r.s.served(service), rotation.Service
}

func (r rotated) elsewhere(member string) error {
	return fmt.Errorf("%s does not run on this node (%s): %w", member, r.s.node.Node, rotation.ErrElsewhere)
}

// renewLSCs orders new certificates for everybody whose present one is under older roots: proved by the present one.
func (r rotated) renewLSCs(ctx context.Context) error {
	newest := rotation.ID("")
	for _, g := range r.s.CA.Generations() {
		if g.State == pki.StateActive {
			newest = rotation.NewID(rootsMember, g.Number)
		}
	}
	profiles, err := r.s.Profiles.List(ctx)
	if err != nil {
		return err
	}
	g := &graph{s: r.s, ctx: ctx}
	for _, p := range profiles {
		if p.Pending(time.Now()) || p.LSC == nil || g.issuer(p.LSC.Ref.Issuer) == newest || g.issuer(p.LSC.Ref.Issuer) == "" {
			continue
		}
		if _, err := r.s.Profiles.Create(ctx, capfprofile.Order{Owner: p.Owner, Operation: capfprofile.InstallUpgrade, Mode: capfprofile.ByExistingLSC, Order: p.Order,
			RSAKeySize: p.RSAKeySize, ECKeySize: p.ECKeySize, Author: "rotation of the roots"}); err != nil && !errors.Is(err, capfprofile.ErrPending) {
			return fmt.Errorf("renewal for %s: %w", p.Owner, err)
		}
	}
	return nil
}
