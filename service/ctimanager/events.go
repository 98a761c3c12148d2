package ctimanager

import (
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// deliver hands an event of a line to the client. Which legs the client knows is kept up whatever its filter leaves out.
func (p *provider) deliver(l *openLine, e projection.Event) {
	h := callHandle{e.Handle.CallManager, e.Handle.Leg}
	if h != (callHandle{}) {
		c := l.calls[h]
		if c == nil {
			c = &openCall{}
			l.calls[h] = c
		}
		c.Node, c.Engine, c.Call, c.Event = e.Node, e.Engine, e.Call, e
		if e.Conference != nil {
			c.confer(e.Conference)
		}
		if e.Leg != 0 {
			c.Leg = e.Leg
		}
		if e.State != 0 {
			c.State = e.State
		}
	}
	p.flowEnds(l, h, &e)
	for _, m := range lineMessages(l, &e) {
		p.send(m)
	}
	if c := l.calls[h]; c != nil {
		p.acceptOffered(l, c, &e)
	}
	p.flow(l.device, h)
	if e.Kind == projection.CallClosed || e.Kind == projection.StateChanged && e.State == ctiqbe.CallStateIdle {
		delete(l.calls, h)
	}
}

// deliverDevice hands an event of a device to the client.
func (p *provider) deliverDevice(o *openDevice, e projection.Event) {
	for _, m := range deviceMessages(o, &e) {
		p.send(m)
	}
}
