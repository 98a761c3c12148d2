package sip

// Via is one Via value. RFC 3261, 20.42. Transport is upper case ("UDP", "TCP", "TLS", "WS", "WSS", "SCTP", ...), Host without brackets.
type Via struct {
	Transport, Host string
	Port            int // 0 = not given
	Params          Params
}

// MagicCookie starts every branch of RFC 3261 and later. RFC 3261, 8.1.1.7.
const MagicCookie = "z9hG4bK"

// Branch is the branch parameter, "" when absent.
func (v Via) Branch() string {
	branch, _ := v.Params.Get("branch")
	return branch
}

// Received is the received parameter without brackets, "" when absent. RFC 3261, 18.2.1; RFC 5118, 4.5.
func (v Via) Received() string {
	host, _ := v.Params.Get("received")
	return trimBrackets(host)
}

// RPort is the rport parameter: asked is true when it is there, port is 0 when it has no value yet. RFC 3581, 3.
func (v Via) RPort() (port int, asked bool) {
	value, asked := v.Params.Get("rport")
	return parsePort(value), asked
}

// String is the Via value as on the wire.
func (v Via) String() string { return string(v.Append(make([]byte, 0, 96))) }

// Append writes the Via value to b.
func (v Via) Append(b []byte) []byte {
	b = append(b, "SIP/2.0/"...)
	b = append(b, v.Transport...)
	b = append(b, ' ')
	b = appendHostPort(b, v.Host, v.Port)
	return v.Params.append(b, ';')
}

// HasCookie says whether the branch is one of RFC 3261: the magic cookie and something after it. A bare cookie identifies
// nothing, such a request is matched by the rules of RFC 2543 (RFC 4475, 3.2.1; RFC 3261, 17.2.3).
func (v Via) HasCookie() bool {
	branch := v.Branch()
	return len(branch) > len(MagicCookie) && branch[:len(MagicCookie)] == MagicCookie
}
