// Package board is the machine behind bus.Board: what each node of a cluster says of itself, known to all others, without a
// leader, a log or a quorum. It is pure: Step(now, input) -> output and Deadline; package bus runs it on NATS.
//
// # Who may say what
//
// A fact has one owner and only the owner speaks of it, so there is nothing to agree upon: everybody copies what the owner
// says, in the owner's order. Two owners may each have a fact under one kind and key; claims (a Lamport clock, one for each
// node, carried by every beat) say which is newer. An exclusive fact is dropped by its own owner when it learns of a higher
// claim: nobody else can take it away, and whoever has not heard yet is put right by hearing.
//
// # Lives
//
// A Life is one stretch of time in which a node speaks. It has a number that rises and the random mark of the process. A node
// that starts takes number 1; who remembers a higher one of the same name tells it (Stale), and it goes above that: no clock
// and no file is needed. What an older life said is never applied after a newer one was heard.
//
// # Messages
//
//	Beat  to all    every second: life, number of the last operation, clock
//	Leave to all    an orderly end
//	Delta to all    operations from number Seq on; put or gone
//	Ask   to owner  "tell me all, from part n on", by who knows nothing yet or has found a gap
//	Part  to asker  one piece of all facts as they were after operation Seq; the asker asks for the next window of parts
//	Stale to owner  "I know you in a newer life"
//
//	        heard                  all parts                  silence for a lease, or Leave
//	unknown ------> heard, asking ----------> alive, in step ------------------------------> lost
//	                                           |        ^                                     |
//	                                   gap: Ask v        | all parts, held deltas   heard: Ask |
//	                                         behind -----+<------------------------------------+
//
// A node is alive for others once they have all its facts: Member{Alive} and the facts come together.
//
// # Time
//
// The only clock is a duration since the start of the process, from the monotonic clock of the reader itself. A wall clock
// that jumps changes nothing, and no two nodes' clocks are compared. A node that finds that it has not beaten for a lease was
// stopped meanwhile; all others count it as dead, so it begins a new life and they ask it for everything anew.
package board
