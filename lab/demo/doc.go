// Package demo plays scenarios on a throw-away site and proves what happened: `locktone demo`.
//
// A scenario drives phones that talk only through the wire, and collects evidence from whoever received: the state of
// a handshake from the end that verified the other, packets from the counters of the end that authenticated them, a tone from
// the end that heard it. Nothing is taken from configuration, and nothing a sender says about itself counts. What is not
// proven is said, and makes the whole scenario unproven.
package demo
