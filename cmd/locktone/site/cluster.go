package site

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/join"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
)

// cluster is the site as administration works on its nodes.
type cluster struct{ s *Site }

var _ admin.Cluster = cluster{}

// Welcome implements admin.Cluster.
func (c cluster) Welcome() join.Welcome {
	return join.Welcome{Cluster: c.s.cluster, Node: c.s.node.Node, Roots: string(c.s.CA.RootsPEM())}
}

// invalid is an error that the caller can mend.
func invalid(format string, args ...any) error {
	return &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// errAlone says how a site on a file becomes one that others can join.
func errAlone() error {
	return invalid("this site keeps its record in a file, which only one node can have: move it to PostgreSQL first: locktone backup here, " +
		"locktone restore into an empty database, store.dsn in node.yaml, and start again (docs/cluster.md)")
}

// NewToken implements admin.Cluster.
func (c cluster) NewToken(ctx context.Context, by, node string, life time.Duration) (join.Token, join.Info, error) {
	s := c.s
	if !s.shared {
		return join.Token{}, join.Info{}, errAlone()
	}
	if s.opt.Node.Node == "" && s.here.Name != "" && s.here.Name != (config.NodeConfig{}).WithDefaults().Node {
		return join.Token{}, join.Info{}, invalid("this node goes by the only name there is, %s; with a second one it would not find itself at its next start: write node: %s into its node.yaml", s.here.Name, s.here.Name)
	}
	if node == s.node.Node {
		return join.Token{}, join.Info{}, invalid("%s is this node", node)
	}
	made, info, err := s.tokens().Create(ctx, by, node, life, join.Pin(s.CA.Roots()))
	if err != nil && !isStore(err) {
		err = invalid("%v", err)
	}
	return made, info, err
}

// isStore reports whether an error is the store's, which has a code of its own.
func isStore(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNoSpace) || errors.Is(err, context.DeadlineExceeded)
}

func (s *Site) tokens() *join.Tokens { return join.NewTokens(s.Store.Documents(join.Collection), nil) }

// Redeem implements admin.Cluster. The token is taken first, and then the node added: whoever comes again with the same claim after a crash
// between the two finds the rest done.
func (c cluster) Redeem(ctx context.Context, r join.Request) (join.Grant, error) {
	s := c.s
	if !s.shared {
		return join.Grant{}, errAlone()
	}
	dsn, err := s.node.DSN(s.opt.Home)
	if err != nil {
		return join.Grant{}, err
	}
	if r.Address != "" {
		if _, err := netip.ParseAddr(r.Address); err != nil {
			return join.Grant{}, invalid("the address of the new node, %q: want an IP address", r.Address)
		}
	}
	info, err := s.tokens().Redeem(ctx, r, func(i join.Info, name string) error { return s.free(ctx, i, name) })
	if err != nil {
		return join.Grant{}, err
	}
	r.Node = info.As
	if err := s.unmark(ctx, r.Node); err != nil {
		return join.Grant{}, err
	}
	rev, err := s.change(ctx, "node token "+info.ID+" of "+info.By, "node "+r.Node+" joined", func(site *config.Site) error { return addNode(site, r) })
	if err != nil {
		return join.Grant{}, err
	}
	out := join.Grant{Cluster: s.cluster, Node: r.Node, Member: s.node.Node, Revision: rev, ClusterKey: s.key.PEM(), DSN: pki.Secret(dsn)}
	out.Bus, err = s.busOf()
	return out, err
}

// free refuses a name that a node has: one that is configured comes back only by a token made for it, and not while it lives.
func (s *Site) free(ctx context.Context, i join.Info, name string) error {
	now, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	if now.Stale {
		return fmt.Errorf("%w: %v", store.ErrUnavailable, now.Reason)
	}
	if slices.ContainsFunc(s.Bus.Board().Nodes(), func(m bus.Member) bool { return m.Name == name && m.Alive }) {
		return fmt.Errorf("%w: a node %s is there and alive: choose another name with --name", join.ErrName, name)
	}
	if i.Node == "" && slices.ContainsFunc(now.Site.Nodes, func(n config.Node) bool { return n.Name == name }) {
		return fmt.Errorf("%w: the site has a node %s already: choose another name with --name, or, where it is to come back, make a token for it (locktone node token --name %s)", join.ErrName, name, name)
	}
	return nil
}

// addNode lets the site list a new node; one that it lists already keeps what it has, but for another address.
func addNode(site *config.Site, r join.Request) error {
	at := slices.IndexFunc(site.Nodes, func(n config.Node) bool { return n.Name == r.Node })
	if at < 0 {
		site.Nodes = append(site.Nodes, config.Node{Name: r.Node, Address: r.Address})
		return nil
	}
	site.Nodes[at].Address = cmp.Or(r.Address, site.Nodes[at].Address)
	return nil
}

// maxTries bounds how often a change is computed anew because somebody else applied one.
const maxTries = 5

// change applies one change of the configuration, in one piece, and returns the revision in which it is in force.
func (s *Site) change(ctx context.Context, author, comment string, f func(*config.Site) error) (int64, error) {
	var err error
	for range maxTries {
		var now store.Snapshot
		if now, err = s.Store.Site(ctx); err != nil {
			return 0, err
		}
		if now.Stale {
			return 0, fmt.Errorf("%w: %v", store.ErrUnavailable, now.Reason)
		}
		next := now.Site.Clone()
		if err = f(next); err != nil {
			return 0, err
		}
		if err = next.Check(); err != nil {
			return 0, err
		}
		diff := config.Diff(now.Site, next.Canonical())
		if len(diff) == 0 {
			return now.Revision.Number, nil
		}
		var rev store.Revision
		if rev, err = s.Store.Apply(ctx, store.ChangeSet{Base: now.Revision.Number, Author: author, Comment: comment, Changes: diff}); !errors.Is(err, store.ErrConflict) {
			return rev.Number, err
		}
	}
	return 0, err
}

// busOf is how a new node reaches the bus.
func (s *Site) busOf() (out join.Bus, err error) {
	c := s.node.Bus
	out.URLs = c.URLs
	if c.CAFile != "" {
		if out.CA, err = os.ReadFile(within(s.opt.Home, c.CAFile)); err != nil {
			return out, fmt.Errorf("bus.caFile: %w", err)
		}
	}
	if c.CredentialsFile != "" {
		if out.Credentials, err = os.ReadFile(within(s.opt.Home, c.CredentialsFile)); err != nil {
			return out, fmt.Errorf("bus.credentialsFile: %w", err)
		}
	}
	return out, nil
}

// Nodes implements admin.Cluster.
func (c cluster) Nodes(ctx context.Context) ([]admin.NodeRow, error) {
	now, err := c.s.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]*admin.NodeRow)
	row := func(name string) *admin.NodeRow {
		if rows[name] == nil {
			rows[name] = &admin.NodeRow{Name: name}
		}
		return rows[name]
	}
	for _, n := range now.Site.Nodes {
		r := row(n.Name)
		r.Configured, r.Address = true, n.Address
	}
	for _, g := range now.Site.CallManagerGroups {
		for _, n := range g.Nodes {
			row(n).Groups = append(row(n).Groups, g.Name)
		}
	}
	for _, m := range c.s.Bus.Board().Nodes() {
		r := row(m.Name)
		r.Alive, r.Self, r.Since = m.Alive, m.Self, m.Since.UTC()
	}
	for _, f := range c.s.Bus.Board().All(admin.NodeFactKind) {
		if v, err := bus.Value[admin.NodeFact](f); err == nil && f.Owner == f.Key {
			r := row(f.Owner)
			r.NodeFact = v
		}
	}
	var out []admin.NodeRow
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b admin.NodeRow) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// live are the services of the cluster and the nodes that run them, as the nodes that are heard say.
func (s *Site) live() map[string][]string {
	out := make(map[string][]string)
	for _, name := range s.running() {
		out[name] = []string{s.node.Node}
	}
	for _, f := range s.Bus.Board().All(admin.NodeFactKind) {
		v, err := bus.Value[admin.NodeFact](f)
		if err != nil || f.Owner == s.node.Node {
			continue
		}
		for _, name := range v.Services {
			out[name] = append(out[name], f.Owner)
		}
	}
	return out
}

// tellNode says of this node what others are to know, whenever the configuration changes and now and then.
func (s *Site) tellNode() {
	changes := s.Store.Watch(s.ctx)
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	fact := admin.NodeFact{Address: s.opt.CallManager.String(), Services: s.running(), Version: s.opt.Version, Started: time.Now().UTC(), Admin: s.admin.Addresses()[1:]}
	var said []byte
	for s.ctx.Err() == nil {
		now, err := s.Store.Site(s.ctx)
		if err == nil {
			fact.Revision = now.Revision.Number
			switch {
			case !now.Stale:
				fact.StaleAt, fact.Problem = time.Time{}, ""
			case fact.StaleAt.IsZero():
				fact.StaleAt, fact.Problem = time.Now().UTC(), now.Reason.Error()
			}
		}
		if b, err := json.Marshal(fact); err == nil && string(b) != string(said) {
			bus.Put(s.Bus.Board(), admin.NodeFactKind, s.node.Node, fact)
			said = b
		}
		select {
		case <-changes:
		case <-tick.C:
		case <-s.ctx.Done():
		}
	}
}

// clusterCollection has what nodes are to know of each other for good: "removed/NAME" tells a node that it was taken out of the site.
const clusterCollection = "cluster"

func removedKey(node string) string { return "removed/" + node }

type removedMark struct {
	By string `json:"by"`
}

// unmark lets a node come back.
func (s *Site) unmark(ctx context.Context, node string) error {
	return s.Store.Documents(clusterCollection).Delete(ctx, removedKey(node), store.AnyRevision)
}

// removed says whether this node was taken out of the site: it must not go on, since it would issue itself new certificates for those that
// were revoked.
func (s *Site) removed(ctx context.Context) error {
	doc, err := s.Store.Documents(clusterCollection).Get(ctx, removedKey(s.node.Node))
	if err != nil {
		return nil //nolint:nilerr // there is no mark, or nobody can say now
	}
	var m removedMark
	_ = json.Unmarshal(doc.Value, &m) // who did it is for people only
	return fmt.Errorf("node %s was taken out of the site by %s: to bring it back, join with a token made for it (locktone node token --name %s)", s.node.Node, cmp.Or(m.By, "somebody"), s.node.Node)
}

// Remove implements admin.Cluster. It may be repeated: what is done already is left as it is.
func (c cluster) Remove(ctx context.Context, by string, r admin.NodeRemoval) (out admin.NodeRemoved, err error) {
	s := c.s
	if r.Name == s.node.Node {
		return out, invalid("%s is this node: ask another one to remove it", r.Name)
	}
	if !r.Force && slices.ContainsFunc(s.Bus.Board().Nodes(), func(m bus.Member) bool { return m.Name == r.Name && m.Alive }) {
		return out, invalid("node %s lives: end it first, or remove it with --force: its calls end", r.Name)
	}
	entries, err := s.servicesOf(ctx, r.Name)
	if err != nil {
		return out, err
	}
	known := len(entries) > 0
	out.Revision, err = s.change(ctx, by, "node "+r.Name+" removed", func(site *config.Site) (err error) {
		had := len(site.Nodes)
		out.Groups, err = dropNode(site, r.Name)
		known = known || len(site.Nodes) < had
		if err == nil && !known {
			return &bus.Error{Code: bus.CodeNotFound, Message: "there is no node " + r.Name}
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if _, err := s.Store.Documents(clusterCollection).Put(ctx, removedKey(r.Name), removedMark{by}, store.AnyRevision); err != nil {
		return out, err
	}
	for _, e := range entries {
		if err := s.CA.Revoke(ctx, e.Ref, "node "+r.Name+" was removed"); err != nil {
			return out, err
		}
		out.Revoked++
	}
	members, err := s.members.All(ctx)
	if err != nil {
		return out, err
	}
	for _, m := range members {
		if m.Node == r.Name {
			if err := s.members.Withdraw(ctx, m.Service, m.Node); err != nil {
				return out, err
			}
		}
	}
	out.Advice = []string{
		"the home folder of " + r.Name + " holds the cluster key and the way to the database: wipe it",
		"where the machine is lost or in other hands: change the database's password (store.dsn of every node), then replace every certificate: locktone trust plan --rotate all --apply",
	}
	return out, nil
}

// servicesOf are the certificates of the services of a node that are not revoked.
func (s *Site) servicesOf(ctx context.Context, node string) (out []pki.Entry, err error) {
	all, err := s.Store.Certificates().Entries(ctx)
	for _, e := range all {
		if e.Kind == pki.KindService && e.Node == node && node != "" && e.Revoked.IsZero() {
			out = append(out, e)
		}
	}
	return out, err
}

// dropNode takes a node out of a site: of the list of nodes and of call-manager groups, which must not be left without one that runs a
// call manager.
func dropNode(site *config.Site, name string) (groups []string, err error) {
	site.Nodes = slices.DeleteFunc(site.Nodes, func(n config.Node) bool { return n.Name == name })
	for i, g := range site.CallManagerGroups {
		if !slices.Contains(g.Nodes, name) {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(g.Nodes), func(n string) bool { return n == name })
		if len(left) == 0 {
			return nil, invalid("%s is the only node of call-manager group %s: give the group another one first (callManagerGroups), or its phones have nowhere to register", name, g.Name)
		}
		site.CallManagerGroups[i].Nodes = left
		groups = append(groups, g.Name)
	}
	return groups, nil
}
