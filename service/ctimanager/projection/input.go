package projection

import "github.com/locktone/locktone/call"

// An Input is one note of one engine, as live.RemoteNote brings it: a loss, a snapshot, or an event.
type Input struct {
	Node   string
	Engine string

	// Lost says that what is known of the engine holds no longer; Gone that its node is, with all calls. Why says so in a sentence.
	Lost bool
	Gone bool
	Why  string

	// Snapshot says that Calls and Settings are all there is, with every event up to AsOf in it.
	Snapshot bool
	AsOf     uint64
	Calls    []*call.View
	Settings []call.Event

	// Event is what happened. Left says that with it the call is none of those followed any more.
	Event call.Event
	Left  bool
}

// A Numbering knows the numbers and lines of the site. It is asked while a note is taken in, and must give the same answers to the same
// questions between two changes of the site.
type Numbering interface {
	// CallManager is the callManagerID of a node: its place in the site's order, from 1.
	CallManager(node string) uint32
	// Appearances are the devices that have a line, in the site's order.
	Appearances(line call.LineID) []string
	// Line is the line of this site that has a number, where exactly one has.
	Line(number string) (call.LineID, bool)
}
