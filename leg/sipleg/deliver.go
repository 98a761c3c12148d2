package sipleg

import (
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// A call that has ended here while the call manager at its other end could not be told: it would go on there until somebody hangs up. So
// it is told later. Should it never be, it asks by itself (see dialog.TimerConfig.Patient) and is answered 481.

// How long, and how often, a BYE is tried again.
const (
	deliverEvery = 2 * time.Second
	deliverFor   = 5 * time.Minute
)

// undelivered is a BYE on its way to a call manager that could not be reached.
type undelivered struct {
	req   *sip.Message
	to    endpoint.Target
	until time.Time
}

// deliverLater sends a BYE again, a little later.
func (d *Driver) deliverLater(req *sip.Message, to endpoint.Target) {
	d.later(&undelivered{req, to, time.Now().Add(deliverFor)})
}

func (d *Driver) later(u *undelivered) {
	if time.Now().Before(u.until) {
		d.ep.After(u.req.CallID(), deliverEvery, u)
	}
}

// deliver tries once.
func (d *Driver) deliver(u *undelivered) {
	next := u.req.Clone()
	next.Del("Via")
	if _, err := d.ep.RequestTag(next, u.to, u); err != nil {
		d.later(u)
	}
}
