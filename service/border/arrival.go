package border

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/border/dialpeer"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// open is the tag of a sender that is no dial-peer but one of the trusted addresses.
const open = 0

var _ element.Policy = (*Service)(nil)

// Program implements element.Policy: a border has no programs.
func (*Service) Program(string) applet.Program { return nil }

// Arrival implements element.Policy: it lets a call in and chooses its way.
func (s *Service) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	now, remote := s.now(), in.Flow.Remote().Addr().Unmap()
	if ok, wait := s.sources.of(remote, now).allow(now); !ok {
		return s.refuse(in, refusedSource, retry("too many calls from this address", wait), "")
	}
	st := s.site.Load()
	q := st.query(in)
	a := st.table.Choose(q, s.status)
	if a.Why != dialpeer.Accepted {
		return s.refuse(in, whys[a.Why].counter, whys[a.Why].refusal(), a.Text())
	}
	if refused, counter := s.admit(st, a.In, now); refused != nil {
		return s.refuse(in, counter, refused, a.Text())
	}
	s.counts.accepted.Add(1)
	s.note(in.Message, trace.Detail, a.Text())
	p := st.byTag[a.In]
	out := element.Arrival{Peer: st.elementOf(p, in.Flow), Called: a.Called, Route: route(q, a)}
	p.in.apply(in.Message)
	return out, nil
}

// admit takes what the call costs from the peer's rate and the border's.
func (s *Service) admit(st *site, tag int, now time.Time) (*sipleg.Refusal, int) {
	if ok, wait := st.byTag[tag].rate.allow(now); !ok {
		return retry("too many calls from this peer", wait), refusedRate
	}
	adm := s.admission.Load()
	if adm.calls > 0 && s.element.Load().Host().Stats().Calls >= adm.calls {
		return retry("no more calls can be carried now", fullRetry), refusedCalls
	}
	if ok, wait := adm.second.allow(now); !ok {
		return retry("too many calls", wait), refusedRate
	}
	return nil, 0
}

// fullRetry is when to try again while the border carries as many calls as it may.
const fullRetry = 10 * time.Second

func retry(why string, wait time.Duration) *sipleg.Refusal {
	return &sipleg.Refusal{Status: 503, Warning: why, Retry: max(1, int((wait+time.Second-1)/time.Second))}
}

// whys says what a sender is told. It never says anything of the inside.
var whys = [...]why{
	dialpeer.Untrusted:   {403, "calls from here are not taken", refusedSender},
	dialpeer.NoPeer:      {404, "the number leads nowhere", refusedNumber},
	dialpeer.Unavailable: {503, "the number cannot be reached now", refusedUnavailable},
	dialpeer.Full:        {503, "no more calls are taken from here now", refusedCalls},
}

type why struct {
	status  int
	warning string
	counter int
}

// refusal is the SIP answer for a reason.
func (w why) refusal() *sipleg.Refusal {
	r := &sipleg.Refusal{Status: w.status, Warning: w.warning}
	if w.status == 503 {
		r.Retry = int(fullRetry / time.Second)
	}
	return r
}

func (s *Service) refuse(in element.Incoming, counter int, r *sipleg.Refusal, text string) (element.Arrival, *sipleg.Refusal) {
	s.counts.refused[counter].Add(1)
	if in.Refused != nil && in.Refused.Warning != "" {
		text += in.Refused.Warning + "\n" // for the operator alone
	}
	s.note(in.Message, trace.Info, text+"answered "+strconv.Itoa(r.Status)+": "+r.Warning)
	return element.Arrival{}, r
}

// note writes the choice into the trace, beside the messages of the call.
func (s *Service) note(m *sip.Message, level trace.Level, text string) {
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: level, SIPCallID: m.CallID(), Summary: strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")})
}

// query is the call as the table of dial-peers is asked about it.
func (st *site) query(in element.Incoming) dialpeer.Query {
	m := in.Message
	q := dialpeer.Query{Called: numberOf(m.RequestURI()), Calling: numberOf(m.From().URI), Request: address(m.RequestURI()), To: address(m.To().URI), From: address(m.From().URI),
		Via: dialpeer.Address{Host: m.TopVia().Host, Text: m.TopVia().Host}}
	q.Sender, q.TLS = st.senders(in), in.Flow.Network() == transport.TLS
	q.Subject = in.Flow.Remote().Addr().String() + " over " + in.Flow.Network().String()
	if p := in.Flow.Peer(); p.Verified() {
		q.Subject += " as " + p.Subject
	}
	return q
}

// numberOf is the number in a URI: its user part without parameters and visual separators (RFC 3966, 5.1.1).
func numberOf(u sip.URI) string {
	user, _, _ := strings.Cut(unescape(u.User), ";")
	if strings.Trim(user, "+0123456789ABCDabcd*#-.()") != "" {
		return user
	}
	return strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(user)
}

func address(u sip.URI) dialpeer.Address {
	return dialpeer.Address{User: u.User, Host: u.Host, Text: u.String()}
}

// senders are the tags of the peers that the sender can be.
func (st *site) senders(in element.Incoming) (tags []int) {
	remote, report := in.Flow.Remote().Addr().Unmap(), element.ReportOf(in.Flow)
	for _, p := range st.peers {
		if p.own() && p.is(in, remote, report) {
			tags = append(tags, p.Tag)
		}
	}
	trusted := slices.ContainsFunc(st.trusted, func(n netip.Prefix) bool { return n.Contains(remote) })
	if len(tags) == 0 && trusted && in.Flow.Network() != transport.TLS {
		tags = append(tags, open)
	}
	return tags
}

// is says whether the sender can be the peer.
func (p *peer) is(in element.Incoming, remote netip.Addr, report *pki.Report) bool {
	switch network := in.Flow.Network(); {
	case p.Shutdown:
		return false
	case p.network() == transport.TLS:
		return network == transport.TLS && p.proven(report)
	case network == transport.TLS:
		return false
	case network != p.network() && p.Transport != config.TransportTCPUDP:
		return false
	}
	return slices.Contains(p.addresses, remote) || in.Peer == p.name // the element knows the addresses behind host names
}

// proven says whether a certificate is the peer's.
func (p *peer) proven(report *pki.Report) bool {
	if report == nil || len(p.subjects) == 0 || p.authority(report) != nil {
		return false
	}
	_, ok := pki.AuthorizeNames(report, pki.Names{Subjects: p.subjects})
	return ok
}

// authority says why a chain is under none of the trustpoint's authorities.
func (p *peer) authority(report *pki.Report) error {
	if len(p.authorities) == 0 {
		return nil
	}
	for i, c := range report.Chain {
		if i > 0 && slices.ContainsFunc(p.authorities, func(a string) bool { return strings.EqualFold(a, c.Subject.CommonName) }) {
			return nil
		}
	}
	return fmt.Errorf("dial-peer %d: the certificate is under none of its trustpoint's authorities (%s): have one of them issue it, or add the authority to the trustpoint",
		p.Tag, strings.Join(p.authorities, ", "))
}

// elementOf is the element's peer a call belongs to.
func (st *site) elementOf(p *peer, f *transport.Flow) string {
	if !p.own() && f.Network() != transport.TLS {
		return p.name + plainSuffix
	}
	return p.name
}

// route is the hunt as the engine does it. Numbers are replaced whole.
func route(q dialpeer.Query, a dialpeer.Answer) (out []call.RouteMember) {
	for _, l := range a.Out {
		m := call.RouteMember{Trunk: strconv.Itoa(l.Tag)}
		if l.Called != a.Called {
			m.Called = dialplan.Transform{Discard: "all", Prefix: l.Called}
		}
		if l.Calling != q.Calling {
			m.Calling = dialplan.Transform{Discard: "all", Prefix: l.Calling}
		}
		out = append(out, m)
	}
	return out
}

// status is how a peer is now, for the choice: the engine counts its calls itself.
func (s *Service) status(tag int) dialpeer.Status {
	if e := s.element.Load(); e != nil && !e.InService(strconv.Itoa(tag)) {
		return dialpeer.Status{Down: "none of its targets answers"}
	}
	return dialpeer.Status{}
}

// received applies a peer's rules to what it sends, sending to what it is sent.
func (s *Service) received(name string, m *sip.Message) {
	if p := s.site.Load().byName[name]; p != nil {
		p.in.apply(m)
	}
}

func (s *Service) sending(name string, m *sip.Message) {
	if p := s.site.Load().byName[name]; p != nil {
		p.out.apply(m)
	}
}

// dialled says whom a dialled peer must prove to be, where its trustpoint has authorities of its own.
func (s *Service) dialled(name string) (pki.PeerPolicy, func(*pki.Report) error, bool) {
	p := s.site.Load().byName[name]
	if p == nil || len(p.authorities) == 0 {
		return pki.PeerPolicy{}, nil, false
	}
	return pki.PeerPolicy{Peer: name, Kinds: pki.KindsOf(pki.KindPeer, pki.KindService), Names: pki.Names{Subjects: p.subjects}}, p.authority, true
}

// explain answers what would become of a call, for an operator: from is a tag, an address, or trusted.
func (s *Service) explain(from, called, calling string) (dialpeer.Answer, error) {
	st := s.site.Load()
	q := dialpeer.Query{Called: called, Calling: calling, Subject: from, Request: dialpeer.Address{User: called, Text: "sip:" + called}, From: dialpeer.Address{User: calling, Text: "sip:" + calling}}
	tag, err := strconv.Atoi(from)
	ip, ipErr := netip.ParseAddr(from)
	switch {
	case err == nil && st.byTag[tag] != nil:
		q.Sender, q.Subject, q.TLS = []int{tag}, "dial-peer "+from, st.byTag[tag].network() == transport.TLS
	case ipErr == nil:
		for _, p := range st.peers {
			if slices.Contains(p.addresses, ip.Unmap()) {
				q.Sender = append(q.Sender, p.Tag)
			}
		}
		if len(q.Sender) == 0 && slices.ContainsFunc(st.trusted, func(n netip.Prefix) bool { return n.Contains(ip) }) {
			q.Sender = []int{open}
		}
	default:
		q.TLS = true
		for _, p := range st.peers {
			if slices.ContainsFunc(p.subjects, func(n string) bool { return strings.EqualFold(n, from) }) {
				q.Sender = append(q.Sender, p.Tag)
			}
		}
		if len(q.Sender) == 0 {
			return dialpeer.Answer{}, fmt.Errorf("%q is no dial-peer's tag, no address, and no subject that a dial-peer's certificate may carry: see locktone config, dialPeers", from)
		}
	}
	return st.table.Choose(q, s.fullStatus), nil
}

// fullStatus is status with the calls of now.
func (s *Service) fullStatus(tag int) dialpeer.Status {
	st := s.status(tag)
	for _, r := range s.element.Load().Peers(s.ctx) {
		if r.Trunk == strconv.Itoa(tag) {
			st.Calls = r.Calls
			if st.Down != "" {
				st.Down = cmp.Or(r.Reason, st.Down)
			}
		}
	}
	return st
}

// unescape takes percent signs out of a user part; one that has wrong ones stays as it is.
func unescape(user string) string {
	if text, err := sip.Unescape(user); err == nil {
		return text
	}
	return user
}
