package site

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// openLists publishes the trust lists: what runs here, signed by the site's signers.
func (s *Site) openLists(ctx context.Context) (err error) {
	docs := s.Store.Documents(lists.Collection)
	s.Holdings = lists.OpenHoldings(s.Store.Documents(lists.HoldingsCollection), lists.HoldingsConfig{Failed: func(err error) {
		s.trouble("who fetched which trust list could not be written down: " + err.Error())
	}, Known: func(device string) bool {
		return slices.ContainsFunc(s.Store.Known().Site.Devices, func(d config.Device) bool { return d.Name == device })
	}})
	s.members, s.Lists = lists.NewMembers(docs), lists.NewReader(docs, s.Holdings)
	s.publisher, err = lists.NewPublisher(lists.PublisherConfig{Lists: docs, Signers: s.Signers, Mode: s.mode, Digest: s.digest, Holdings: s.Holdings})
	if err != nil {
		return err
	}
	if s.Rotation, err = rotation.NewRunner(rotation.Config{Site: rotated{s}, Documents: s.Store.Documents("rotation"), Patience: s.opt.Patience}); err != nil {
		return err
	}
	s.Profiles = s.book()
	err = s.announce(ctx)
	if errors.Is(err, store.ErrUnavailable) { // calls need none of it, and it is tried again
		s.trouble("trust lists: " + err.Error())
		err = nil
	}
	return err
}

func (s *Site) mode(ctx context.Context) (config.SecurityMode, error) {
	now, err := s.Store.Site(ctx)
	if err != nil {
		return config.Mixed, err
	}
	return now.Site.Cluster.SecurityMode, nil
}

// digest is that of the signatures on lists.
func (s *Site) digest(ctx context.Context) (trustlist.Digest, error) {
	now, err := s.Store.Site(ctx)
	if err == nil && now.Site.Cluster.FileSignature == config.SignSHA1 {
		return trustlist.SHA1, nil
	}
	return trustlist.SHA256, err
}

// announce says what runs here and publishes new lists where that, the signers or the security mode changed.
func (s *Site) announce(ctx context.Context) error {
	s.announcing.Lock()
	defer s.announcing.Unlock()
	if err := s.announceLocked(ctx); err != nil {
		return err
	}
	return s.publishLocked(ctx)
}

func (s *Site) announceLocked(ctx context.Context) error {
	for _, x := range s.identities {
		if x.roles == nil {
			continue
		}
		certificates, err := lists.Certificates(ctx, s.CA, x.spec)
		if err != nil {
			return err
		}
		m := lists.Member{Service: x.spec.Name, Node: s.node.Node, Host: x.host, Addresses: x.addresses, Roles: x.roles, Certificates: certificates}
		if _, err := s.members.Announce(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// publish makes new lists where something changed.
func (s *Site) publish(ctx context.Context) error {
	s.announcing.Lock()
	defer s.announcing.Unlock()
	return s.publishLocked(ctx)
}

// publishLocked: a site without anything to list has no lists. Of several nodes one publishes, so that two versions of this program never
// publish against each other; the first lists of a site are made by whoever starts first.
func (s *Site) publishLocked(ctx context.Context) error {
	all, err := s.members.All(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	if s.others() && !s.leads() {
		if _, err := s.Lists.Current(ctx, trustlist.CTL); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, s.tellLists(ctx))
		}
	}
	_, err = s.publisher.Publish(ctx)
	return errors.Join(err, s.tellLists(ctx))
}

// tellLists tells the phones of this node once that there are other lists than before, whichever node published them.
func (s *Site) tellLists(ctx context.Context) error {
	fresh := false
	for _, kind := range lists.Kinds() {
		v, err := s.Lists.Current(ctx, kind)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if before, known := s.told[kind]; known && before != v.Number {
			fresh = true
		}
		s.told[kind] = v.Number
	}
	if fresh && s.Calls != nil {
		s.Calls.TellAll()
	}
	return nil
}

// others reports whether the site has other nodes than this one.
func (s *Site) others() bool { return len(s.Store.Known().Site.Nodes) > 1 }

// leads reports whether this node has the duties that one node has at a time: publishing lists, and the steps of rotations that are
// nobody's in particular.
func (s *Site) leads() bool {
	term := s.term.Load()
	return term != nil && (*term).Err() == nil
}

// lookAgain is how often what no event announces is looked at: lists that could not be published, and phones that a rotation
// waits for.
const lookAgain = 10 * time.Second

// follow keeps the lists as the configuration wants them, and rotations going.
func (s *Site) follow() {
	changes := s.Store.Watch(s.ctx)
	fetched, rotations := s.Store.Documents(lists.HoldingsCollection).Watch(s.ctx), s.Store.Documents("rotation").Watch(s.ctx)
	announced, nodes := s.Store.Documents(lists.Collection).Watch(s.ctx), s.Store.Documents(clusterCollection).Watch(s.ctx)
	terms := s.Store.Lead(s.ctx, "site")
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	if st, err := s.Rotation.Status(s.ctx); err == nil && st.Running() && s.Calls != nil {
		s.Calls.TellAll() // whoever was told last time may have come while nobody answered
	}
	for s.ctx.Err() == nil {
		var err error
		select {
		case _, open := <-changes:
			if !open {
				return
			}
			err = s.publish(s.ctx)
		case <-fetched:
			err = s.advance(s.ctx)
		case <-rotations:
			err = s.advance(s.ctx)
		case term, open := <-terms:
			if !open {
				terms = nil
				break
			}
			s.term.Store(&term)
			err = errors.Join(s.publish(s.ctx), s.advance(s.ctx))
		case <-announced: // another node's services, or lists that it published
			err = errors.Join(s.publish(s.ctx), s.advance(s.ctx))
		case <-nodes:
			s.leave(s.removed(s.ctx))
		case <-again.C:
			s.leave(s.removed(s.ctx))
			err = errors.Join(s.announce(s.ctx), s.advance(s.ctx), s.remind(s.ctx))
		case <-s.ctx.Done():
		}
		if err != nil && s.ctx.Err() == nil {
			s.trouble("trust lists: " + err.Error())
		}
	}
}

// leave ends the site for a reason; nil is none.
func (s *Site) leave(why error) {
	if why == nil {
		return
	}
	select {
	case s.failed <- why:
		s.trouble(why.Error())
	default: // it ends already
	}
}

// remind tells those for whom a rotation waits once more that there is something to fetch: what they tried may have failed.
// Who is not registered, or no device, cannot be told. Who fetched and has not shown yet that it took the list is asked for a
// handshake, which is the proof, when it has no call.
func (s *Site) remind(ctx context.Context) error {
	st, err := s.Rotation.Status(ctx)
	if err != nil || !st.Running() || s.Calls == nil {
		return err
	}
	for _, w := range st.Waits {
		_, err := bus.Ask[bus.ResetRequest, bus.ResetResult](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbReset),
			bus.ResetRequest{Object: bus.ObjectDevice, Name: w.Device, Action: bus.ActionApply, Actor: "rotation of " + string(st.Target)})
		var answered *bus.Error
		if err != nil && !errors.As(err, &answered) {
			return err
		}
		if h, known, err := s.Holdings.Get(ctx, w.Device); err == nil && known && len(h.CTL.May())+len(h.ITL.May()) > 2 {
			s.Calls.Rehandshake(w.Device, "a new handshake is to show which trust list it holds")
		}
	}
	return nil
}

// advance takes the steps of a rotation that can be taken.
func (s *Site) advance(ctx context.Context) error {
	s.advancing.Lock()
	defer s.advancing.Unlock()
	_, err := s.Rotation.Advance(ctx)
	if errors.Is(err, rotation.ErrElsewhere) { // another node's turn
		return nil
	}
	return err
}

// confirm takes a device's full handshake with a service as the proof that it knows the certificate presented: it holds one of
// the lists that name it, at least the oldest of those it fetched.
func (s *Site) confirm(service string, e *pki.Entry) {
	x := s.served(service)
	if x == nil || e.Kind != pki.KindDevice || !slices.Contains(x.roles, trustlist.RoleCCMTFTP) {
		return
	}
	h, known, err := s.Holdings.Get(s.ctx, e.Name)
	if err != nil || !known {
		return
	}
	presented := x.identity.Snapshot().Certificates.Generation
	for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
		held := h.Of(kind)
		if len(held.Fetched) == 0 { // nothing is open: the one list it may hold was proved before
			continue
		}
		copies := held.May()
		at := slices.IndexFunc(copies, func(c lists.Copy) bool { return s.names(kind, c.Version, service, presented) })
		if at > 0 || at == 0 && copies[0] != held.Confirmed {
			s.Holdings.Confirmed(lists.Fetch{Device: e.Name, Address: h.Address, Kind: kind, Version: copies[at].Version, Signer: copies[at].Signer})
		}
	}
}

// names says whether a version of a list names that generation of a service of this node.
func (s *Site) names(kind trustlist.Kind, version int, service string, generation int) bool {
	v, err := s.Lists.Version(s.ctx, kind, version)
	return err == nil && slices.ContainsFunc(v.Records, func(r lists.Record) bool {
		return r.Service == service && r.Node == s.node.Node && r.Generation == generation
	})
}

// observe takes what handshakes showed: chains for the forecast, and which lists devices hold. Which enrolled certificates are in
// use is CAPF's to ask, when a profile waits to know.
func (s *Site) observe() {
	seen := rotation.NewSeen(s.ctx, s.Store.Documents("chains-seen"), nil)
	for {
		select {
		case o := <-s.observed:
			seen.Observe(o.Report, o.Side, pki.PeerPolicy{Peer: o.Peer, Kinds: o.Report.Kinds})
			if e := o.Report.Entry; e != nil && o.Report.OK() {
				s.confirm(o.Identity, e)
			}
		case <-s.ctx.Done():
			return
		}
	}
}
