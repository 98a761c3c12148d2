// Package phone is a SIP phone without a user interface, for tests and demonstrations. It talks only through the wire: it
// has its own endpoint, its own TLS connection with its own device certificate, its own RTP ports; nothing of the system
// under test is called. What it says about a call (Evidence) comes from its own side: the state of its TLS handshake and
// the counters of its media stream.
//
//	p, err := phone.Start(ctx, phone.Config{Name: "SEP001122334455", Number: "1001", Server: "127.0.1.10:5061", ...})
//	err = p.WaitRegistered(ctx)
//	c, err := p.Dial(ctx, "1002")
//	err = c.WaitAnswered(ctx)
//	c.Tone(1000)
//	ev := c.Evidence()
//
// Everything that waits takes a context and wakes by events. A phone verifies its server's certificate strictly: chain,
// validity, extended key usage, and the name or address it was told to expect.
//
// Misbehave makes it a bad phone, so that tests can see the claims of an evidence table fail.
package phone
