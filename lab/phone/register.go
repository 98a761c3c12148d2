package phone

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// registration is the phone's REGISTER state (RFC 3261, 10.2). The endpoint's goroutine moves it; the phone's lock guards
// what others read.
type registration struct {
	callID   string
	fromTag  string
	seq      uint32
	up       bool
	expires  time.Duration // granted
	status   int           // of the last final response
	warning  string
	failures int
	err      error
	gone     bool // unregistered on purpose
	count    int  // REGISTERs accepted
	next     *endpoint.Timer
}

type (
	registerNow struct{}
	unregister  struct{}
)

// register sends a REGISTER; expires 0 removes the binding.
func (p *Phone) register(expires time.Duration) {
	if _, err := p.ep.Request(p.registerRequest(expires), p.target()); err != nil {
		p.registerFailed(err)
	}
}

// registerRequest is the next REGISTER.
func (p *Phone) registerRequest(expires time.Duration) *sip.Message {
	r := &p.reg
	if r.fromTag == "" {
		r.fromTag = strconv.FormatUint(random(), 36)
	}
	r.seq++
	m := sip.NewRequest(sip.REGISTER, sip.URI{Scheme: "sip", Host: p.cfg.Domain})
	from := p.address()
	from.Params = sip.Params{{Name: "tag", Value: r.fromTag}}
	m.SetMaxForwards(70)
	m.SetFrom(from)
	m.SetTo(p.address())
	m.SetCallID(r.callID)
	m.SetCSeq(sip.CSeq{Seq: r.seq, Method: sip.REGISTER})
	c := p.contact()
	c.Params = sip.Params{
		{Name: "+sip.instance", Value: `"<urn:uuid:00000000-0000-4000-8000-` + instance(p.cfg.Name) + `>"`},
		{Name: "reg-id", Value: "1"},
	}
	m.SetContact(c)
	m.Set("Supported", "path, outbound")
	m.Set("Expires", strconv.Itoa(int(expires/time.Second)))
	m.Set("User-Agent", userAgent)
	if p.digest != nil {
		p.digest.Authorize(m) // with what was asked for before
	}
	return m
}

// challenged answers a 401 or 407 to REGISTER; false = that is the end of it.
func (p *Phone) challenged(tx *endpoint.ClientTx, m *sip.Message) bool {
	if m.Status() != 401 && m.Status() != 407 || p.digest == nil || p.digest.Challenged(tx.Request(), m) != nil {
		return false
	}
	seconds, _ := tx.Request().Expires()
	p.register(time.Duration(seconds) * time.Second)
	return true
}

// instance is the last part of the phone's instance id (RFC 5626, 4.1): 12 hex digits that stay the same for one name.
func instance(name string) string {
	var h uint64 = 14695981039346656037
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return fmt.Sprintf("%012x", h&(1<<48-1))
}

// registered is a response to REGISTER.
func (p *Phone) registered(tx *endpoint.ClientTx, m *sip.Message) {
	if !m.IsFinal() || m.Method() != sip.REGISTER || m.CSeq().Seq != p.reg.seq || p.challenged(tx, m) {
		return
	}
	p.mu.Lock()
	r := &p.reg
	r.status, r.err, r.warning = m.Status(), nil, m.Header("Warning")
	r.up = m.IsSuccess()
	if r.up {
		r.failures = 0
		r.count++
		r.expires = granted(m, p.cfg.Expires)
		if r.gone = len(m.Contacts()) == 0; r.gone {
			r.up = false
		}
	}
	gone := r.gone
	p.mu.Unlock()
	p.notify()
	switch {
	case gone:
	case m.IsSuccess():
		p.settled(tx.Flow())
	case m.Status() == 423:
		if low, err := strconv.Atoi(m.Header("Min-Expires")); err == nil && low > 0 {
			p.cfg.Expires = time.Duration(low) * time.Second
			p.again(0)
		}
	case m.Status() >= 500:
		p.failOver()
	}
}

// granted is the interval the registrar gave our contact.
func granted(m *sip.Message, asked time.Duration) time.Duration {
	for _, c := range m.Contacts() {
		if e := c.Binding().Expires; e >= 0 {
			return e
		}
	}
	if e, ok := m.Expires(); ok {
		return time.Duration(e) * time.Second
	}
	return asked
}

// refreshAfter leaves a tenth of the interval, at most a minute, for a second try.
func refreshAfter(expires time.Duration) time.Duration {
	return expires - min(expires/10, time.Minute)
}

func (p *Phone) registerFailed(err error) {
	p.mu.Lock()
	p.reg.up, p.reg.err = false, err
	p.reg.failures++
	p.mu.Unlock()
	p.notify()
	p.failOver()
}

// backoff is the wait before the next try: 250 ms, doubling to 30 s (RFC 5626, 4.5 in small).
func (p *Phone) backoff() time.Duration {
	return min(250*time.Millisecond<<min(p.reg.failures, 7), 30*time.Second)
}

// again plans the next REGISTER, in place of one planned before.
func (p *Phone) again(d time.Duration) {
	if p.reg.next != nil {
		p.reg.next.Stop()
	}
	p.reg.next = p.ep.After(p.reg.callID, d, registerNow{})
}

// Registrations is how many REGISTERs were accepted so far.
func (p *Phone) Registrations() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reg.count
}

// WaitRegistrations waits until n REGISTERs were accepted and the phone is registered.
func (p *Phone) WaitRegistrations(ctx context.Context, n int) error {
	return p.wait(ctx, "waiting to be registered again", func() (bool, error) { return p.reg.up && p.reg.count >= n, nil })
}

// WaitRegistered waits until the registrar has accepted the phone. A refusal (4xx) is final and comes as an error with
// the registrar's Warning.
func (p *Phone) WaitRegistered(ctx context.Context) error {
	err := p.wait(ctx, "waiting to be registered", func() (bool, error) {
		if s := p.reg.status; !p.reg.up && s >= 400 && s < 500 && s != 423 {
			return false, &Refused{Status: s, Warning: p.reg.warning}
		}
		return p.reg.up, nil
	})
	if err == nil || ctx.Err() == nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%w, after %d tries without an answer (the last: %v), last answered %d %s", err, p.reg.failures, p.reg.err, p.reg.status, p.reg.warning)
}

// WaitUnregistered waits until the phone is not registered: its server has gone, or has refused it.
func (p *Phone) WaitUnregistered(ctx context.Context) error {
	return p.wait(ctx, "waiting to be without registration", func() (bool, error) { return !p.reg.up, nil })
}

// Registered tells whether the phone is registered now.
func (p *Phone) Registered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reg.up
}

// Unregister removes the registration and waits until that is done.
func (p *Phone) Unregister(ctx context.Context) error {
	p.ep.Post(p.reg.callID, unregister{})
	return p.wait(ctx, "waiting to be unregistered", func() (bool, error) { return p.reg.gone, nil })
}

// Refused is a final answer that says no.
type Refused struct {
	Status  int
	Warning string
}

// Error is the status with what the peer's Warning says.
func (r *Refused) Error() string {
	s := "refused: " + strconv.Itoa(r.Status) + " " + sip.ReasonPhrase(r.Status)
	if r.Warning != "" {
		s += " (" + r.Warning + ")"
	}
	return s
}

// Reregister refreshes the registration now, before it is time.
func (p *Phone) Reregister() { p.ep.Post(p.reg.callID, registerNow{}) }
