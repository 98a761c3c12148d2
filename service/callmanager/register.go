package callmanager

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// errReplaced is why a connection is closed on which nobody can be reached any more.
var errReplaced = errors.New("the phone has registered again on another connection (RFC 5626)")

// register answers a REGISTER. RFC 3261, 10.3: the certificate takes the place of step 4 (authorisation).
func (s *Service) register(tx *endpoint.ServerTx, m *sip.Message) {
	aor, err := sip.Unescape(m.To().URI.User)
	if err != nil || aor == "" {
		s.answer(tx, m, &refusal{status: 400, why: "To names no user to register"})
		return
	}
	d, refused := s.deviceFor(tx.Flow(), aor)
	if refused == nil {
		refused = s.digest(m, d)
	}
	if refused != nil {
		s.refusedRegister(tx, m, aor, refused)
		return
	}
	if refused = s.placed(d, m); refused != nil {
		s.unreachable(s.bindings.drop(s.now(), func(b *binding) bool { return b.device == d.Name }))
		s.refusedRegister(tx, m, aor, refused)
		return
	}
	done, refused := s.bindings.register(s.now(), d.Name, aor, m, tx.Flow(), lifetimesOf(d))
	if refused != nil {
		s.refusedRegister(tx, m, aor, refused)
		return
	}
	s.el.SetOwner(tx.Flow(), d.Name)
	for _, f := range done.left {
		f.Close(errReplaced) // what waits on it goes on by the new one
	}
	s.rejected.forget(d.Name)
	s.reachable(d.Name, done.was, done.is)
	if done.was && done.is && done.anew {
		s.publishRegistration(d.Name, true) // it has come anew: whoever else has it hears so
		s.stillHere(d.Name)
	}
	s.respond(tx, s.registeredAnswer(m, done))
	s.wakeSweeper()
	s.back(d.Name)
	switch {
	case done.was && !done.is:
		s.deviceGone([]string{d.Name})
	case done.anew:
		s.deviceBack(d.Name)
		s.sip.Back(d.Name)
	}
	if done.is {
		s.reconcile(d.Name, aor, done.anew)
	}
}

// placed refuses a device that shall be at another node. Who leaves may always do so.
func (s *Service) placed(d *directory.Device, m *sip.Message) *refusal {
	if seconds, given := m.Expires(); given && seconds == 0 {
		return nil
	}
	st := s.site.Load()
	if refused := s.belongs(st, d); refused != nil {
		return refused
	}
	return s.turnedAway(st, d)
}

// refusedRegister answers and remembers why, for `show registrations`.
func (s *Service) refusedRegister(tx *endpoint.ServerTx, m *sip.Message, aor string, r *refusal) {
	if r.status == 403 || r.status == 404 {
		s.rejected.add(rejection{name: aor, remote: tx.Flow().Remote().String(), network: tx.Flow().Network().String(), at: s.now(), why: r.why})
	}
	s.answer(tx, m, r)
}

// registeredAnswer lists what is bound now. RFC 3261, 10.3 step 8.
func (s *Service) registeredAnswer(m *sip.Message, done registered) *sip.Message {
	res := sip.NewResponse(m, 200, "")
	now := s.now()
	for _, b := range done.bindings {
		c := b.contact
		c.Params = c.Params.With("expires", strconv.Itoa(int(b.expires.Sub(now).Round(time.Second)/time.Second)))
		res.Add("Contact", c.String())
	}
	res.Set("Date", now.UTC().Format(http.TimeFormat))
	return res
}

// reachable tells the engine when a device came or went.
func (s *Service) reachable(device string, was, is bool) {
	if was == is {
		return
	}
	if err := s.driver.Signal(s.deviceState(device, is)); err != nil {
		s.note(device, "the engine did not hear of the registration: "+err.Error())
	}
	what := "unregistered"
	if is {
		what = "registered"
	}
	s.publishRegistration(device, is)
	s.note(device, what)
	s.deviceChanged(device)
}

// unreachable tells the engine of devices that went without saying so.
func (s *Service) unreachable(devices []string) {
	for _, name := range devices {
		s.reachable(name, true, false)
	}
}

// sweep forgets registrations when they run out, and wakes for nothing else.
func (s *Service) sweep() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next := s.bindings.soonest(); !next.IsZero() {
			timer.Reset(max(0, next.Sub(s.now())))
		} else {
			timer.Reset(time.Hour)
		}
		select {
		case <-timer.C:
			gone := s.bindings.expire(s.now())
			s.unreachable(gone)
			s.deviceGone(gone)
			s.bindings.next() // looks through all, which not every REGISTER may cost
		case <-s.sweeper:
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Service) wakeSweeper() {
	select {
	case s.sweeper <- struct{}{}:
	default: // it is awake
	}
}
