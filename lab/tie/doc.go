// Package tie tests calls between nodes: whole clusters in one process, with phones that talk only through the wire, half of them
// at one node and half at the other. Everything a user can do with a phone of their own node they can do with those of the others, and neither
// a phone nor a trunk ever sees the words in which the nodes speak of it.
package tie
