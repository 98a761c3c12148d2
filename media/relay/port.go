package relay

// Latching says from where a port takes packets and where it sends its own. RFC 4961 (symmetric RTP) is what nearly all
// phones do; address translation makes it necessary to follow the packets rather than the signalling.
//
// Where SRTP was agreed the port follows the source of packets that authenticate, whatever the value: only the holder of
// the key can move the stream. The value decides for plain RTP.
type Latching uint8

// The policies for plain RTP. The zero value is the strict one; the others are named exceptions.
const (
	Signalled Latching = iota // address and port of the description, nothing else
	SameHost                  // the description's address, and the first port seen from it
	FirstSeen                 // the first source seen, for peers behind address translation
)

// String is the word configuration uses.
func (l Latching) String() string {
	return [...]string{"signalled", "same-host", "first-seen"}[min(l, FirstSeen)]
}

// Engine owns the threads that forward.
type Engine struct{}
