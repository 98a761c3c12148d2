package dialpeer

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// A Peer is one dial-peer. It is a value that is not changed once a Table has it.
type Peer struct {
	Tag      int
	Shutdown bool
	// Own says that the peer has addresses or subjects of its own: it is the inbound peer only of calls from there.
	Own bool
	// Inbound matches, see the doc comment of the package.
	Via, Request, To, From []URI
	IncomingCalled, Answer []Pattern
	// Destination is matched with the called number outbound and, last of all, with the calling one inbound.
	Destination []Pattern
	// DestinationURI is matched with the request's URI outbound.
	DestinationURI []URI
	// Group names the outbound peers of calls that come in by this one; it decides alone.
	Group []Choice
	// Preference orders peers that match equally well: 0 first. Huntstop ends the hunt here.
	Preference int
	Huntstop   bool
	// Outbound says that the peer has somewhere to send calls to.
	Outbound bool
	// Clear says that the peer has no TLS: calls that come over TLS never come in by it.
	Clear bool
	// MaxCalls bounds calls in both directions together; zero is no limit.
	MaxCalls int
	// Hairpin lets a call leave by the peer it came in by, and to where it came from.
	Hairpin bool
	// Incoming is applied to calls that come in by the peer, Outgoing to those that leave by it.
	Incoming, Outgoing Translation
}

// A Choice is one member of a group.
type Choice struct{ Tag, Preference int }

// A URI is what a URI has to look like: the host is one of Hosts (compared whole, without regard to case), the user part matches
// User, the whole matches Text. What is empty is not looked at; a URI of nothing matches nothing.
type URI struct {
	Name  string
	Hosts []string
	User  *regexp.Regexp
	Text  *regexp.Regexp
}

func (u URI) match(a Address) bool {
	if len(u.Hosts) == 0 && u.User == nil && u.Text == nil || a == (Address{}) {
		return false
	}
	host := func(h string) bool { return strings.EqualFold(h, a.Host) }
	return (len(u.Hosts) == 0 || slices.ContainsFunc(u.Hosts, host)) &&
		(u.User == nil || u.User.MatchString(a.User)) && (u.Text == nil || u.Text.MatchString(a.Text))
}

// An Address is a SIP URI taken apart, or a Via's sent-by.
type Address struct{ User, Host, Text string }

// A Query is a call that has come.
type Query struct {
	// Called and Calling are the numbers as they came.
	Called, Calling string
	// What the request says of itself. It chooses among the peers the sender can be, never the sender.
	Via, Request, To, From Address
	// Sender are the tags of the peers whose addresses or subjects fit the sender; Subject is a word for it in the explanation.
	Sender  []int
	Subject string
	// TLS says that the call came over TLS.
	TLS bool
}

// Status is what changes at run time about a peer.
type Status struct {
	// Down: its keep-alive has no answer, with the reason.
	Down string
	// Calls are those that it carries now.
	Calls int
}

// A Table is a set of peers ready to be asked. It is immutable.
type Table struct {
	peers []Peer // by tag
}

// NewTable sorts the peers by tag; of two with the same tag the first counts.
func NewTable(peers []Peer) *Table {
	t := &Table{peers: slices.Clone(peers)}
	slices.SortStableFunc(t.peers, func(a, b Peer) int { return cmp.Compare(a.Tag, b.Tag) })
	t.peers = slices.CompactFunc(t.peers, func(a, b Peer) bool { return a.Tag == b.Tag })
	return t
}

// Peer returns the peer with the tag.
func (t *Table) Peer(tag int) (Peer, bool) {
	i, ok := slices.BinarySearchFunc(t.peers, tag, func(p Peer, tag int) int { return cmp.Compare(p.Tag, tag) })
	if !ok {
		return Peer{}, false
	}
	return t.peers[i], true
}

// find is the place of a peer, or -1.
func (t *Table) find(tag int) int {
	return slices.IndexFunc(t.peers, func(p Peer) bool { return p.Tag == tag })
}
