// Package center is the brain of the contact centre: which caller is treated how, who waits where in which queue, which agent
// gets whom. It is pure: Step(now, Input) returns Outputs; time is an argument, ids come from counters, order from slices.
// One goroutine of service/contactcenter owns a Center and carries what it says; `locktone cc simulate` and the tests run
// the same code on a clock of their own.
//
// # What it holds
//
// A contact is a caller that a call server has told of (package contact), or a callback: somebody who keeps a place in a queue
// without being on the line. It runs through the nodes of a routing script until it is queued; an agent is reserved for it; the
// call server rings the agent's number, and says that the two are connected or why not.
//
// An agent is in one of seven states. Which input leads from which state where is one table (transitions.go), from which
// docs/agent-states.md and its picture are made, and which the tests walk through exhaustively.
//
// # What always holds
//
// After every Step (invariants_test.go looks after each one, over interleavings of small sites, breadth first up to a bound, and on random walks):
//
//   - An agent is reserved exactly as long as an offer for it lives; an offer has a contact, an agent and a running timer.
//   - A contact that waits is in exactly one queue, one that is offered in none, and both know which.
//   - An agent who talks talks with a contact that is there: when a call server says that a call has ended, or it is gone
//     with its node, whoever was reserved for it or talked to it is free in the same Step.
//   - No agent is ready while a contact waits that this agent could take.
//   - Every state that nobody but time ends has a timer.
//   - Each Query is answered exactly once.
//
// # Who is right
//
// Call servers have the calls, so what they say is true: a contact that is connected to an agent's number is with that agent,
// whatever was planned. A new life of the contact centre has nothing but the agents' last states and is told the calls again
// (contact.Again); what it needs to know of each travels in the call's own variables (cc_queue, cc_since and so on), so that
// everybody stands where they stood.
package center
