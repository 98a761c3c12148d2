package transaction

// The UAS core's part after a 2xx to INVITE. RFC 3261, 13.3.1.4: the 2xx is passed to the transport at an interval that
// starts at T1 and doubles up to T2, over any transport, until its ACK comes or 64*T1 have passed.
//
//	        2xx from TU             Timer: send 2xx, double up to T2
//	  Idle -------------> Accepted ---------------------------------+
//	                      |  |  ^                                   |
//	            ACK: -    |  |  +-----------------------------------+
//	                      |  | 64*T1: inform TU
//	                      V  V
//	                   Terminated

// SuccessSender repeats one 2xx.
type SuccessSender struct{ core }

// Start begins after the 2xx was sent.
func (s *SuccessSender) Start(now Instant, t *Timers) {
	s.begin(now, Accepted, t, false)
	s.until = now.Add(64 * t.T1)
	s.retransmitEvery(now, t.T1)
}

// Step takes Timer, Acknowledge or TransportError; the last is ignored, since the ACK may come on another connection of the peer.
func (s *SuccessSender) Step(now Instant, in Input) Action {
	switch {
	case s.state != Accepted:
		return 0
	case in == Acknowledge:
		return s.end(0)
	case in == Timer && s.expired(now):
		return s.end(TimedOut)
	case in == Timer && s.due(now):
		s.backOff(now, s.timers.T2)
		return Send
	}
	return 0
}
