// Package projection makes CTI events of engine events: what happens to calls, as applications that control phones want to be told it.
//
// An engine (package call) tells of calls, parties and legs, with a picture of the whole call in every event. An application watches
// terminals: a line on a device, with the calls it has there, each in a state of its own. The projection is the step from one to the other,
// and nothing else: a pure function of the notes it is given, without a clock, a network or a lock. One Machine serves all applications of
// a CTI manager; its events are addressed to a line of a device, and whoever has opened that line gets them through its own filter.
//
//	engine of node 1 ---notes---\                         /--> PDUs of CTIQBE, for each provider that has opened the line
//	engine of node 2 ---notes----> Machine ---events-----<
//	engine of node 3 ---notes---/                         \--> the JSON event stream
//
// # How it works
//
// Of every call the Machine keeps the last picture, and of every leg of a device what its observers have been told: its appearance. A note
// brings a new picture; what the observers should know is computed from that (state.go, party.go), and the difference is told in an order
// that clients rely on (told.go): a state is never left out because the engine was quick, so that ringback comes before connected, and
// ringing before answered. What an engine event says beside the picture (that a party leaves because it has transferred the call) becomes
// the reason of the differences it makes.
//
// Because events are differences of pictures, a snapshot after a loss needs no code of its own: calls that are gone end, those that are new
// are told as existing, all others go on from what was told last.
//
// # Names
//
// A leg is named by a Handle, a call by a GCH (global call handle); see Numbering and gch.go for how both ends of a call that crosses nodes
// have one.
package projection
