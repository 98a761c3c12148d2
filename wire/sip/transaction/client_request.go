package transaction

// The non-INVITE client transaction. RFC 3261, 17.1.2, figure 6.
//
//	                                   |Request from TU
//	                                   |send request
//	               Timer E             V
//	               send request  +-----------+
//	                   +---------|           |-------------------+
//	                   |         |  Trying   |  Timer F          |
//	                   +-------->|           |  or Transport Err.|
//	                             +-----------+  inform TU        |
//	                200-699         |  |                         |
//	                resp. to TU     |  |1xx                      |
//	                +---------------+  |resp. to TU              |
//	                |                  |                         |
//	                |   Timer E        V       Timer F           |
//	                |   send req +-----------+ or Transport Err. |
//	                |  +---------|           | inform TU         |
//	                |  |         |Proceeding |------------------>|
//	                |  +-------->|           |-----+             |
//	                |            +-----------+     |1xx          |
//	                |              |      ^        |resp to TU   |
//	                | 200-699      |      +--------+             |
//	                | resp. to TU  |                             |
//	                |              V                             |
//	                |            +-----------+                   |
//	                +----------->| Completed |                   |
//	                             +-----------+                   |
//	                               |   Timer K                   |
//	                               V                             |
//	                             +-----------+                   |
//	                             |Terminated |<------------------+
//	                             +-----------+

// ClientRequest is one request other than INVITE and ACK that we sent.
type ClientRequest struct{ core }

// Start sends the request. RFC 3261, 17.1.2.2: Timer E only over unreliable transports, Timer F always.
func (c *ClientRequest) Start(now Instant, t *Timers, reliable bool) Action {
	c.begin(now, Trying, t, reliable)
	c.until = now.Add(t.F)
	if !reliable {
		c.retransmitEvery(now, t.T1)
	}
	return Send
}

// Step takes one input.
func (c *ClientRequest) Step(now Instant, in Input) Action {
	switch c.state {
	case Trying, Proceeding:
		return c.open(now, in)
	case Completed:
		if in == Timer && c.expired(now) { // Timer K
			return c.end(0)
		}
	}
	return 0
}

func (c *ClientRequest) open(now Instant, in Input) Action {
	switch in {
	case Timer:
		return c.timer(now)
	case Provisional:
		c.state = Proceeding
		return Deliver
	case Success, Failure:
		return Deliver | c.linger(now, Completed, c.timers.T4)
	case TransportError:
		return c.end(Failed)
	case FlowLost:
		return c.end(Failed)
	}
	return 0
}

func (c *ClientRequest) timer(now Instant) Action {
	if c.expired(now) { // Timer F
		return c.end(TimedOut)
	}
	if !c.due(now) {
		return 0
	}
	if c.state == Proceeding { // RFC 3261, 17.1.2.2: in Proceeding, Timer E is reset to T2
		c.retransmitEvery(now, c.timers.T2)
	} else {
		c.backOff(now, c.timers.T2)
	}
	return Send
}
