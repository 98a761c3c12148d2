// Package call is the model of a telephone call, and the engine that moves it.
//
// # The three nouns
//
// A Call holds Parties. A Party is one line's part in the call (JTAPI says Connection); a Party holds Legs. A Leg is one
// device's part in that party (JTAPI says TerminalConnection; on the wire it is a SIP dialog, an SCCP call reference, a CTI
// port or an applet). A called line that appears on several devices is one Party with several Legs: all ring, the first
// answer wins, the others become passive and are released on the wire. Nothing in this package counts to a fixed number
// of parties or legs.
//
// # The five words
//
//	Signal   driver      -> engine     something happened to a leg: Setup, Alerting, Answered, Reoffered, Released ...
//	Request  application -> engine     somebody wants something: MakeCall, Drop, Redirect, Hold, Resume
//	Command  engine      -> driver     do this to a leg: Ring, Alert, Answer, Reoffer, Release ...
//	Event    engine      -> observers  it has happened; carries an immutable View of the call as it is right after it
//	Cause    everywhere                why, in the numbers of ITU-T Q.850 (and a few of ours above 127)
//
// # The engine
//
// Engine.Step(now, input) is pure: no clock, no I/O, no lock, no goroutine, no random number. Ids come from counters and
// order comes from slices, so the same inputs give the same outputs, byte for byte; a recorded list of inputs is a replay
// file (Replay). Deadline tells the runner (package call/live) when to send the next Tick. A feature is a small type in
// feature_<name>.go; one ordered list in features.go says who sees an input first, and that order is the policy for
// feature interaction.
//
// # Several nodes
//
// An engine knows nothing of the calls of others. A call between devices at two nodes is a call in each of two engines, with a tie between them:
// a leg of either that leads to the other node (Target.Node, Setup.Node). The caller's engine decides where the call goes; the engine where
// a device is registered decides what is that device's own; what another engine has is asked of it (Ask), found by what it says it offers
// (Facts, Offers, Elsewhere). See ties, and docs/adr/0022-ties.md.
//
// # Media
//
// The engine knows session descriptions only as Desc values: a number (the media plane's table holds the SDP, and the keys
// in it), a direction and a summary of the security. A Command that carries a description says how it is to be made, in a
// Media value: passed on (Direct), passed on through a relay of ours (Anchored), or made by us (Source: music, tone, applet,
// silence). Offers travel through the engine as RFC 3264 and RFC 3725 (third party call control) describe; see media.go.
package call
