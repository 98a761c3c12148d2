package transaction

// The INVITE client transaction. RFC 3261, 17.1.1, figure 5, as RFC 6026, 7.2 changes it; CANCEL by RFC 3261, 9.1.
//
//	                                 |INVITE from TU
//	               Timer A fires     |INVITE sent      Timer B fires
//	               Reset A,          V                 or Transport Err.
//	               INVITE sent +-----------+           inform TU
//	                 +---------|           |--------------------------+
//	                 |         |  Calling  |                          |
//	                 +-------->|           |-----------+              |
//	300-699                    +-----------+ 2xx       |              |
//	ACK sent                      |  |       2xx to TU |              |
//	resp. to TU                   |  |1xx              |              |
//	+-----------------------------+  |1xx to TU        |              |
//	|                                |                 |              |
//	|                1xx             V                 |              |
//	|                1xx to TU +-----------+           |              |
//	|                +---------|           |           |              |
//	|                |         |Proceeding |           |              |
//	|                +-------->|           |  2xx      |              |
//	|         300-699    +-----|           |  2xx to TU|              |
//	|         ACK sent,  |     +-----------+------+    |              |
//	|         resp. to TU|       | Timer C: CANCEL |    |              |
//	|                    |       | sent; then 64*T1|    |   NOTE:      |
//	|  300-699           V       +--> inform TU ---+--------> ...     |
//	|  ACK sent  +-----------+Transport Err.  |    |    |              |
//	|     +------|           |Inform TU       |    |    |              |
//	|     |      | Completed |----------------+----+----+------------->|
//	|     +----->|           |                |    |    |              |
//	+----------->+-----------+                V    V    V              |
//	                |     2xx            +-----------+                 |
//	                |Timer D    2xx to TU|           |                 |
//	                |           +--------| Accepted  |                 |
//	                |           +------->|           |                 |
//	                |                    +-----------+                 |
//	                |                          | Timer M fires         |
//	                V                          V                       V
//	             +------------------------------------------------------+
//	             |                      Terminated                      |
//	             +------------------------------------------------------+

// ClientInvite is one INVITE we sent.
type ClientInvite struct {
	core
	wanted    bool // the user wants to cancel, no provisional response yet
	cancelled bool // CANCEL has been asked for
	last      bool // until ends the transaction, it is not Timer C
}

// Start sends the INVITE. RFC 3261, 17.1.1.2: Timer A only over unreliable transports, Timer B always.
func (c *ClientInvite) Start(now Instant, t *Timers, reliable bool) Action {
	*c = ClientInvite{}
	c.begin(now, Calling, t, reliable)
	c.until = now.Add(t.B)
	if !reliable {
		c.retransmitEvery(now, t.T1)
	}
	return Send
}

// Cancelling says whether a CANCEL was or will be sent.
func (c *ClientInvite) Cancelling() bool { return c.wanted || c.cancelled }

// Step takes one input.
func (c *ClientInvite) Step(now Instant, in Input) Action {
	switch c.state {
	case Calling:
		return c.calling(now, in)
	case Proceeding:
		return c.proceeding(now, in)
	case Accepted:
		return c.accepted(now, in)
	case Completed:
		return c.completed(now, in)
	}
	return 0
}

func (c *ClientInvite) calling(now Instant, in Input) Action {
	switch in {
	case Timer:
		if c.expired(now) { // Timer B
			return c.end(TimedOut)
		}
		if c.due(now) { // Timer A. RFC 3261, 17.1.1.2: doubles without a limit
			c.backOff(now, 0)
			return Send
		}
	case Provisional:
		c.enter(Proceeding)
		c.patience(now)
		if c.wanted {
			return Deliver | c.cancel(now)
		}
		return Deliver
	case CancelRequest: // RFC 3261, 9.1: no CANCEL before a provisional response
		c.wanted = true
	case TransportError, FlowLost:
		return c.end(Failed)
	default:
		return c.final(now, in)
	}
	return 0
}

func (c *ClientInvite) proceeding(now Instant, in Input) Action {
	switch in {
	case Timer:
		if !c.expired(now) {
			return 0
		}
		if c.last { // RFC 3261, 9.1: no answer 64*T1 after CANCEL ends the transaction
			return c.end(TimedOut)
		}
		return c.cancel(now) // Timer C. RFC 3261, 16.8
	case Provisional:
		if !c.last {
			c.patience(now)
		}
		return Deliver
	case CancelRequest:
		if !c.cancelled {
			return c.cancel(now)
		}
	case TransportError:
		return c.end(Failed)
	case FlowLost: // RFC 3261, 18.2.2: the server may open a connection to our sent-by for the final response
		if t := now.Add(64 * c.timers.T1); c.until == 0 || t < c.until {
			c.until, c.last = t, true
		}
	default:
		return c.final(now, in)
	}
	return 0
}

func (c *ClientInvite) patience(now Instant) {
	c.until = 0
	if c.timers.C > 0 {
		c.until = now.Add(c.timers.C)
	}
}

func (c *ClientInvite) cancel(now Instant) Action {
	c.cancelled, c.last = true, true
	c.until = now.Add(64 * c.timers.T1)
	return SendCancel
}

func (c *ClientInvite) final(now Instant, in Input) Action {
	switch in {
	case Success: // RFC 6026, 8.4: Timer M is 64*T1 over any transport, further 2xx are for the user
		c.enter(Accepted)
		c.until = now.Add(64 * c.timers.T1)
		return Deliver
	case Failure:
		return SendAck | Deliver | c.linger(now, Completed, c.timers.D)
	}
	return 0
}

func (c *ClientInvite) accepted(now Instant, in Input) Action {
	switch {
	case in == Success:
		return Deliver
	case in == Timer && c.expired(now): // Timer M
		return c.end(0)
	}
	return 0
}

func (c *ClientInvite) completed(now Instant, in Input) Action {
	switch {
	case in == Failure:
		return SendAck
	case in == Timer && c.expired(now): // Timer D
		return c.end(0)
	case in == TransportError: // the ACK could not be sent
		return c.end(Failed)
	}
	return 0
}
