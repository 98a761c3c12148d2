package transaction

import "time"

// Timers are the timer values of RFC 3261, 17 and Table 4. Zero fields take the default given.
type Timers struct {
	T1 time.Duration // round-trip estimate: 500 ms
	T2 time.Duration // largest retransmit interval of non-INVITE requests and INVITE responses: 4 s
	T4 time.Duration // longest time a message stays in the network: 5 s
	// B is the INVITE transaction timeout: 64*T1.
	B time.Duration
	// C bounds an INVITE that only gets provisional responses, from the last of them: 181 s; negative is no bound.
	// RFC 3261, 16.6: Timer C must be larger than 3 minutes.
	C time.Duration
	// D is how long a client keeps absorbing retransmitted non-2xx finals over UDP: 32 s.
	D time.Duration
	// F is the non-INVITE transaction timeout: 64*T1.
	F time.Duration
	// Trying is when a 100 is sent for an INVITE without an answer: 200 ms. RFC 3261, 17.2.1.
	Trying time.Duration
}

// WithDefaults fills the zero fields.
func (t Timers) WithDefaults() Timers {
	set := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	set(&t.T1, 500*time.Millisecond)
	set(&t.T2, 4*time.Second)
	set(&t.T4, 5*time.Second)
	set(&t.B, 64*t.T1)
	set(&t.C, 181*time.Second)
	set(&t.D, 32*time.Second)
	set(&t.F, 64*t.T1)
	set(&t.Trying, 200*time.Millisecond)
	return t
}
