package ldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/config"
)

// query is one search.
type query struct {
	base, filter string
	attributes   []string
	limit        int // entries asked for; 0: as many as there are
	subtree      bool
}

// entry is a found entry, and the server that has it.
type entry struct {
	*goldap.Entry
	at endpoint
}

// maxHops is how many referrals in a row are followed (RFC 4511, 4.1.10 leaves the number to the client).
const maxHops = 3

// follower searches, and follows the referrals it is given.
type follower struct {
	d       *Directory
	enough  int             // entries after which it is enough
	visited map[string]bool // servers and bases asked
	hops    int
	Skipped []string // referrals that were not followed, since their host is not configured
}

func (d *Directory) newFollower(enough int) *follower {
	return &follower{d: d, enough: enough, visited: map[string]bool{}}
}

// search asks one server and those it refers to. Entries that were found are returned beside a problem.
func (f *follower) search(ctx context.Context, c *connection, q query) ([]entry, *Problem) {
	key := strings.ToLower(c.at.address() + "/" + q.base)
	if f.visited[key] {
		return nil, &Problem{Reason: ReferralLoop, Server: c.at.url(), What: fmt.Sprintf("is referred to a second time for %s: the referrals go in a circle", q.base), Fix: "correct the referrals of the directory"}
	}
	f.visited[key] = true
	r, err := f.d.searchOnce(ctx, c, q)
	var out []entry
	var refs []string
	if r != nil {
		for _, e := range r.Entries {
			out = append(out, entry{e, c.at})
		}
		refs = r.Referrals
	}
	must := false // the whole answer is a referral: not following it is finding nothing
	if err != nil {
		code, answered := resultCode(err)
		switch {
		case !answered:
			return out, f.d.searchFailed(ctx, c, q, err)
		case code == goldap.LDAPResultReferral:
			refs, must = append(refs, referralsIn(err)...), true
		default:
			return out, resultProblem(c.at.url(), "the search under "+q.base, code, err, f.d.settings.BindDN == "")
		}
	}
	for _, ref := range refs {
		if len(out) >= f.enough {
			break
		}
		more, p := f.follow(ctx, c, ref, q, must)
		out = append(out, more...)
		if p != nil {
			return out, p
		}
	}
	return out, nil
}

// searchFailed says why a search got no answer: a filter that cannot be sent, or the connection.
func (d *Directory) searchFailed(ctx context.Context, c *connection, q query, err error) *Problem {
	if goldap.IsErrorWithCode(err, goldap.ErrorFilterCompile) {
		return &Problem{Reason: FilterInvalid, What: fmt.Sprintf("%s is not a filter: %s", q.filter, said(err)), Fix: "correct filter: (attribute=value), joined by (&...), (|...) and (!...)"}
	}
	return c.failed(ctx, "the search under "+q.base, err)
}

// searchOnce is one search request.
func (d *Directory) searchOnce(ctx context.Context, c *connection, q query) (r *goldap.SearchResult, err error) {
	scope := goldap.ScopeBaseObject
	if q.subtree {
		scope = goldap.ScopeWholeSubtree
	}
	limit := d.settings.SearchTimeLimit.D()
	req := goldap.NewSearchRequest(q.base, scope, goldap.NeverDerefAliases, q.limit, int(limit.Seconds()), false, q.filter, q.attributes, nil)
	if _, err := goldap.CompileFilter(q.filter); err != nil {
		return nil, err
	}
	err = c.do(ctx, limit+d.settings.NetworkTimeout.D(), loginBytes, func(lc *goldap.Conn) (err error) {
		r, err = lc.Search(req)
		return err
	})
	return r, err
}

// follow asks the server of a referral.
func (f *follower) follow(ctx context.Context, from *connection, ref string, q query, must bool) ([]entry, *Problem) {
	at, base, ok := f.d.referred(ref)
	if !ok {
		f.Skipped = append(f.Skipped, ref)
		if !must { // Active Directory refers to every other domain of the forest in each answer
			return nil, nil
		}
		return nil, &Problem{Reason: ReferralRefused, Server: from.at.url(), What: fmt.Sprintf("refers to %s, which is no configured host", ref),
			Fix: "ask the server that has the base, the global catalogue, or add its host to referralHosts"}
	}
	if f.hops++; f.hops > maxHops {
		return nil, &Problem{Reason: ReferralLoop, Server: from.at.url(), What: fmt.Sprintf("refers on and on: %d referrals were followed, the last one to %s", maxHops, ref), Fix: "correct the referrals of the directory, or ask the global catalogue"}
	}
	if base != "" {
		q.base = base
	}
	if f.visited[strings.ToLower(at.address()+"/"+q.base)] {
		return nil, &Problem{Reason: ReferralLoop, Server: from.at.url(), What: fmt.Sprintf("refers to %s, which was asked already: the referrals go in a circle", ref), Fix: "correct the referrals of the directory"}
	}
	c, p := f.d.service(ctx, at, func(string) {})
	if p != nil {
		return nil, p
	}
	defer c.close()
	return f.search(ctx, c, q)
}

// referred is where a referral (RFC 4516) leads: ok is false for a host that is not configured. The configured transport holds there too.
func (d *Directory) referred(ref string) (at endpoint, base string, ok bool) {
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" {
		return at, "", false
	}
	at = endpoint{host: u.Hostname(), transport: d.settings.Transport}
	known := slices.ContainsFunc(d.settings.Servers, func(s config.LDAPServer) bool { return strings.EqualFold(s.Host, at.host) }) ||
		slices.ContainsFunc(d.settings.ReferralHosts, func(h string) bool { return strings.EqualFold(h, at.host) })
	if !known {
		return at, "", false
	}
	at.port = d.settings.Transport.Port(d.settings.GlobalCatalogue)
	if _, p, err := net.SplitHostPort(u.Host); err == nil {
		at.port, err = strconv.Atoi(p)
		if err != nil || at.port < 1 || at.port > 65535 {
			return at, "", false
		}
	}
	if standard := at.port == 389 || at.port == 3268; standard && d.settings.Transport == config.LDAPS { // what it has in clear it has with TLS next door
		at.port = map[int]int{389: 636, 3268: 3269}[at.port]
	}
	return at, strings.TrimPrefix(u.Path, "/"), true
}

// referralsIn are the addresses in a result that is a referral (RFC 4511, 4.1.10).
func referralsIn(err error) (out []string) {
	var e *goldap.Error
	if !errors.As(err, &e) || e.Packet == nil || len(e.Packet.Children) < 2 {
		return nil
	}
	for _, child := range e.Packet.Children[1].Children {
		if child.Tag != 3 || len(child.Children) == 0 {
			continue
		}
		for _, ref := range child.Children {
			if s, ok := ref.Value.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// page is one page of a search; control is changed to ask for the next one by SetCookie.
func (d *Directory) page(ctx context.Context, c *connection, q query, control *goldap.ControlPaging) (r *goldap.SearchResult, err error) {
	limit := d.settings.SearchTimeLimit.D()
	if _, err := goldap.CompileFilter(q.filter); err != nil {
		return nil, err
	}
	req := goldap.NewSearchRequest(q.base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, int(limit.Seconds()), false, q.filter, q.attributes, []goldap.Control{control})
	err = c.do(ctx, limit+d.settings.NetworkTimeout.D(), pageBytes, func(lc *goldap.Conn) (err error) {
		r, err = lc.Search(req)
		return err
	})
	return r, err
}

// nextPage is what asks for the page after this one, empty after the last; ok is false for a server that does not page.
func nextPage(r *goldap.SearchResult) (cookie []byte, ok bool) {
	control, ok := goldap.FindControl(r.Controls, goldap.ControlTypePaging).(*goldap.ControlPaging)
	if !ok {
		return nil, false
	}
	return control.Cookie, true
}
