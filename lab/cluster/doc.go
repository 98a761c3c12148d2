// Package cluster tests a cluster of real processes: three nodes of the real program, each in a network namespace of its own as on a
// machine of its own (lab/netns), one PostgreSQL, and phones that talk through the wire only. What happens to a call when a node is
// killed, hangs, or is cut off is measured here, for every state a call can be in; docs/failures.md is what came out.
//
// The package has tests only: TestMain of netns moves the process into the network.
package cluster
