package call

import (
	"slices"

	"github.com/locktone/locktone/dialplan"
)

// globalise makes the numbers of a call that comes in on a trunk those of this site, before anybody looks at them.
func (c *Config) globalise(s *Setup) {
	t := c.trunks[s.Trunk]
	if t == nil {
		return
	}
	s.Called, _ = c.plan.CalledNumber(t.Incoming.CalledSpace, t.Incoming.Called.Apply(s.Called))
	s.Calling.Number = c.incomingCalling(t, s.Calling.Number)
	s.Redirecting = slices.Clone(s.Redirecting)
	for i := range s.Redirecting {
		from := &s.Redirecting[i].From
		from.Number = c.incomingCalling(t, from.Number)
	}
}

// incomingCalling is the calling or connected number that a trunk's peer says, as a number of this site. An unknown number stays unknown.
func (c *Config) incomingCalling(t *Trunk, number string) string {
	if number == "" {
		return ""
	}
	number, _ = c.plan.CallingNumber(t.Incoming.CallingSpace, t.Incoming.Calling.Apply(number))
	return number
}

// shown is a caller as a device or trunk with this transformation search space is shown them.
func (c *Config) shown(space string, calling Identity) Identity {
	if space == "" || calling.Number == "" {
		return calling
	}
	number, by := c.plan.CallingNumber(space, calling.Number)
	calling.Number = number
	if by != nil && by.Presentation != dialplan.PresentationDefault {
		calling.Restricted = by.Presentation == dialplan.PresentationRestricted
	}
	return calling
}

// outgoing is a number of this site as the peer of a trunk is shown it.
func (c *Config) outgoing(t *Trunk, m RouteMember, id Identity) Identity {
	id.Number = t.Calling.Apply(m.Calling.Apply(id.Number))
	return c.shown(t.CallingSpace, id)
}

// callingSpace is the transformation search space of the numbers that a leg's device or trunk is shown.
func (c *Config) callingSpace(l *Leg) string {
	if l.tie != nil {
		return "" // the other node sees to that
	}
	if d := c.devices[l.device]; d != nil {
		return d.CallingSpace
	}
	if t := c.trunks[l.trunk]; t != nil {
		return t.CallingSpace
	}
	return ""
}

// retold is a command that names whoever is at the other end, with the number as it is shown there.
func (c *Config) retold(space string, cmd Command) Command {
	switch told := cmd.(type) {
	case Alert:
		told.Connected = c.shown(space, told.Connected)
		return told
	case Answer:
		told.Connected = c.shown(space, told.Connected)
		return told
	case Identify:
		told.Connected = c.shown(space, told.Connected)
		return told
	}
	return cmd
}
