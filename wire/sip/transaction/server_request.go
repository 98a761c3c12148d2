package transaction

import "time"

// The non-INVITE server transaction. RFC 3261, 17.2.2, figure 8, with the rules of RFC 4320.
//
//	                                  |Request received
//	                                  |pass to TU
//	                                  V
//	                            +-----------+  RFC 4320, 4.1: 100 sent when a client's Timer E
//	                            |           |  would be T2, never earlier over UDP, no other 1xx
//	                            | Trying    |-------------+
//	                            |           |             |
//	                            +-----------+             |200-699 from TU
//	                                  |                   |send response
//	                                  |100                |
//	                                  |send response      |
//	                                  |                   |
//	               Request            V                   |  RFC 4320, 4.2: no 408, and nothing at all
//	               send response+-----------+             |  after 64*T1: the client has given up
//	                   +--------|           |             |
//	                   |        |Proceeding |             |
//	                   +------->|           |             |
//	                            +-----------+             |
//	                                  |200-699 from TU    |
//	                                  |send response      |
//	                   Request        V                   |
//	                   send response+-----------+         |
//	                       +--------|           |         |
//	                       |        | Completed |<--------+
//	                       +------->|           |
//	                                +-----------+
//	                                  |Timer J fires, or Transport Err. (inform TU)
//	                                  V
//	                                +-----------+
//	                                |Terminated |
//	                                +-----------+

// ServerRequest is one request other than INVITE and ACK that a peer sent.
type ServerRequest struct {
	core
	quiet Instant // no 100 over unreliable transports before this
}

// Start begins after the request was received.
func (s *ServerRequest) Start(now Instant, t *Timers, reliable bool) {
	*s = ServerRequest{}
	s.begin(now, Trying, t, reliable)
	s.until = now.Add(64 * t.T1)
	s.quiet = now.Add(untilT2(t))
	s.retry = s.quiet
}

// untilT2 is how long a client's Timer E takes to grow to T2: 3.5 s with the default timers.
func untilT2(t *Timers) time.Duration {
	var sum time.Duration
	for d := t.T1; d < t.T2; d *= 2 {
		sum += d
	}
	return sum
}

// Respond is a response of the user with this status. What RFC 4320 forbids returns no action; 408 ends the transaction
// without a response.
func (s *ServerRequest) Respond(now Instant, status int) Action {
	if s.state != Trying && s.state != Proceeding {
		return 0
	}
	switch {
	case status == 408:
		return s.end(0)
	case status > 100 && status < 200:
		return 0
	case status == 100:
		if !s.reliable && now < s.quiet {
			return 0
		}
		s.state, s.retry = Proceeding, 0
		return Send
	}
	return Send | s.linger(now, Completed, 64*s.timers.T1) // Timer J
}

// Step takes one input.
func (s *ServerRequest) Step(now Instant, in Input) Action {
	switch in {
	case Timer:
		return s.timer(now)
	case Request:
		if s.state == Proceeding || s.state == Completed {
			return Send
		}
	case TransportError:
		if s.state == Trying || s.state == Proceeding || s.state == Completed {
			return s.end(Failed)
		}
	}
	return 0
}

func (s *ServerRequest) timer(now Instant) Action {
	if s.expired(now) { // Timer J, or too late for any answer
		return s.end(0)
	}
	if s.state == Trying && s.due(now) {
		s.state, s.retry = Proceeding, 0
		return SendTrying
	}
	return 0
}
