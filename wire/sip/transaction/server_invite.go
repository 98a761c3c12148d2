package transaction

// The INVITE server transaction. RFC 3261, 17.2.1, figure 7, as RFC 6026, 7.1 changes it.
//
//	                                    |INVITE
//	                                    |pass INV to TU
//	                 INVITE             V send 100 if TU won't in 200 ms
//	                 send response+------------+
//	                     +--------|            |--------+ 101-199 from TU
//	                     |        |            |        | send response
//	                     +------->|            |<-------+
//	                              | Proceeding |
//	                              |            |--------+ Transport Err.
//	                              |            |        | Inform TU, end
//	                              |            |<-------+
//	                              +------------+
//	                 300-699 from TU |    |2xx from TU
//	                 send response   |    |send response
//	                  +--------------+    +------------+
//	                  |                                |
//	 INVITE           V          Timer G fires         |
//	 send response +-----------+ send response         |
//	      +--------|           |--------+              |
//	      |        | Completed |        |              |       INVITE: absorbed
//	      +------->|           |<-------+              |       2xx from TU: send response
//	               +-----------+                       |       ACK: to TU
//	                  |     |                          |       Transport Err.: inform TU
//	              ACK |     |                          V
//	              -   |     +----------------+  +-----------+
//	                  |        Timer H fires |  | Accepted  |
//	                  V        or Transp. Err|  +-----------+
//	               +-----------+  inform TU  |       |
//	               | Confirmed |             |       | Timer L fires
//	               +-----------+             |       | -
//	                  | Timer I fires        |       |
//	                  V -                    V       V
//	               +--------------------------------------+
//	               |              Terminated              |
//	               +--------------------------------------+

// ServerInvite is one INVITE a peer sent.
type ServerInvite struct {
	core
	answered bool // a provisional response was sent
}

// Start begins after the INVITE was received.
func (s *ServerInvite) Start(now Instant, t *Timers, reliable bool) {
	*s = ServerInvite{}
	s.begin(now, Proceeding, t, reliable)
	s.retry = now.Add(t.Trying)
}

// Respond is a response of the user with this status. What the state does not allow returns no action.
func (s *ServerInvite) Respond(now Instant, status int) Action {
	switch {
	case s.state == Accepted && Classify(status) == Success: // RFC 6026, 8.7
		return Send
	case s.state != Proceeding:
		return 0
	}
	switch Classify(status) {
	case Provisional:
		s.answered, s.retry = true, 0
		return Send
	case Success: // RFC 6026, 7.1: Timer L is 64*T1 over any transport
		s.enter(Accepted)
		s.until = now.Add(64 * s.timers.T1)
		return Send
	}
	s.enter(Completed)
	s.until = now.Add(64 * s.timers.T1) // Timer H
	if !s.reliable {
		s.retransmitEvery(now, s.timers.T1) // Timer G
	}
	return Send
}

// Step takes one input.
func (s *ServerInvite) Step(now Instant, in Input) Action {
	switch s.state {
	case Proceeding:
		return s.proceeding(in, now)
	case Accepted:
		return s.accepted(now, in)
	case Completed:
		return s.completed(now, in)
	case Confirmed:
		if in == Timer && s.expired(now) { // Timer I
			return s.end(0)
		}
	}
	return 0
}

func (s *ServerInvite) proceeding(in Input, now Instant) Action {
	switch in {
	case Timer:
		if s.due(now) {
			s.answered, s.retry = true, 0
			return SendTrying
		}
	case Request:
		if s.answered {
			return Send
		}
	case TransportError:
		return s.end(Failed)
	}
	return 0
}

func (s *ServerInvite) accepted(now Instant, in Input) Action {
	switch in {
	case Timer:
		if s.expired(now) { // Timer L
			return s.end(0)
		}
	case Acknowledge:
		return Deliver
	case TransportError:
		return Failed
	}
	return 0
}

func (s *ServerInvite) completed(now Instant, in Input) Action {
	switch in {
	case Timer:
		if s.expired(now) { // Timer H
			return s.end(TimedOut)
		}
		if s.due(now) { // Timer G
			s.backOff(now, s.timers.T2)
			return Send
		}
	case Request:
		return Send
	case Acknowledge:
		return s.linger(now, Confirmed, s.timers.T4) // Timer I
	case TransportError:
		return s.end(Failed)
	}
	return 0
}
