package contactcenter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/contact/expression"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/trace"
)

// orderTime is how long a call server may take to take an Order.
const orderTime = 2 * time.Second

// maxAnswer bounds what a lookup may bring.
const maxAnswer = 64 << 10

// carry does what the centre says.
func (l *leader) carry(o center.Output) {
	switch o := o.(type) {
	case center.Answer:
		l.reply(o.ID, reply{label: o.Label})
	case center.Reply:
		l.reply(o.ID, reply{refused: o.Refused})
	case center.Send:
		l.s.counts.orders.Add(1)
		l.orders <- struct{}{}
		l.work.Go(func() {
			done := l.order(o)
			<-l.orders // before the centre is told, which may wait for a place itself
			l.put(message{in: done})
		})
	case center.Lookup:
		l.work.Go(func() { l.lookup(o) })
	case center.Dial:
		l.work.Go(func() { l.dial(o) })
	case center.AgentChanged:
		l.changed = true
		l.seat(o.Agent)
		l.write.put("agent/"+o.Agent.Agent, o.Agent, o.Agent.State == center.LoggedOut)
	case center.ContactChanged:
		l.changed = true
	case center.CallbackChanged:
		l.write.put("callback/"+string(o.Callback.ID), o.Callback, o.Done)
	case center.ContactEnded:
		l.changed = true
		l.s.counts.ended.Add(1)
		l.s.records.ended(o.Record)
		if l.s.cfg.Ended != nil {
			l.s.cfg.Ended(o.Record)
		}
	case center.Repaired:
		l.s.counts.repaired.Add(1)
		l.s.note(trace.Error, o.What)
	}
}

func (l *leader) reply(id uint64, r reply) {
	if c := l.waiting[id]; c != nil {
		c <- r // it has a place for one
		delete(l.waiting, id)
	}
}

// order gives a call server an Order; it returns what became of it.
func (l *leader) order(o center.Send) center.Input {
	ctx, cancel := context.WithTimeout(l.term, orderTime)
	defer cancel()
	b := l.s.cfg.Bus
	a, err := bus.Ask[contact.Order, contact.TakenAnswer](ctx, b, b.Subject(contact.ServiceCallServer, contact.VerbOrder).To(o.Server), o.Order)
	if err != nil || a.Taken == contact.BadLabel {
		why := a.Why
		if err != nil {
			why = err.Error()
		}
		l.s.note(trace.Error, fmt.Sprintf("call %s: label %d was not taken by %s: %s", o.Order.Call, o.Order.Label.Serial, o.Server, why))
	}
	return center.Ordered{Call: o.Order.Call, Serial: o.Order.Label.Serial, Taken: a.Taken, Lost: err != nil}
}

// resync asks a call server for all its calls, after a Note of it was missed.
func (l *leader) resync(server string) {
	l.s.counts.resyncs.Add(1)
	known := l.s.Look().Contacts // before it is asked: what comes later is not in its answer
	l.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.term, orderTime)
		defer cancel()
		b := l.s.cfg.Bus
		all, err := bus.Ask[contact.CallsRequest, contact.Calls](ctx, b, b.Subject(contact.ServiceCallServer, contact.VerbCalls).To(server), contact.CallsRequest{})
		if err != nil {
			l.s.note(trace.Error, "a note of call server "+server+" was missed, and it does not tell its calls: "+err.Error())
			return
		}
		there := map[contact.CallID]bool{}
		for _, c := range all.Calls {
			there[c.Query.Call] = true
			if c.Query.State == contact.Connected {
				l.put(message{in: center.Noted{Note: contact.Note{Server: server, Life: all.Life, Call: c.Query.Call, Serial: c.Query.Label, Kind: contact.NoteConnected, Number: c.Query.With}}})
			}
		}
		for _, v := range known {
			if v.Server == server && !v.Callback && !there[v.Call] {
				l.put(message{in: center.Gone{Call: v.Call}})
			}
		}
	})
}

// lookup asks an HTTP server of the site's lookup origins.
func (l *leader) lookup(o center.Lookup) {
	ctx, cancel := context.WithTimeout(l.term, o.Timeout)
	defer cancel()
	l.s.counts.lookups.Add(1)
	v, err := l.s.fetch(ctx, o)
	if err != nil {
		l.s.counts.lookupFailures.Add(1)
		l.s.note(trace.Error, fmt.Sprintf("call %s: script %s, node %s: the lookup failed: %v", o.Call, o.Script, o.Node, err))
	}
	l.put(message{in: center.Found{Lookup: o.ID, Failed: err != nil, Variables: v}})
}

func (s *Service) fetch(ctx context.Context, o center.Lookup) (map[string]string, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the address cannot be read: %w", err)
	}
	if origin := u.Scheme + "://" + u.Host; !allowed(s.cfg.Store.Known().Site.Contact().LookupOrigins, origin) {
		return nil, fmt.Errorf("%s is not among lookupOrigins", origin)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	res, err := s.cfg.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s; expected 200", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return results(body, o.Results)
}

func allowed(origins []string, origin string) bool {
	for _, o := range origins {
		if strings.EqualFold(o, origin) {
			return true
		}
	}
	return false
}

// results takes the wanted fields out of a JSON object; one that is not there has no value.
func results(body []byte, wanted []center.Result) (map[string]string, error) {
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fmt.Errorf("the answer is no JSON object: %w", err)
	}
	out := map[string]string{}
	for _, w := range wanted {
		var at any = object
		for name := range strings.SplitSeq(w.Field, ".") {
			m, _ := at.(map[string]any)
			at = m[name]
		}
		switch v := at.(type) {
		case string:
			out[w.Variable] = v
		case float64:
			out[w.Variable] = expression.Number(v).String()
		case bool:
			out[w.Variable] = expression.Bool(v).String()
		default:
			out[w.Variable] = ""
		}
	}
	return out, nil
}

// dial has an agent's phone call a customer back. What becomes of the call is seen at the phone (followPhones).
func (l *leader) dial(o center.Dial) {
	err := errNoPhones
	if l.s.cfg.Phones != nil {
		c := phones.Command{Device: o.Device, Key: phones.Dial, Number: o.Number}
		if o.Stop {
			c = phones.Command{Device: o.Device, Key: phones.Release}
		}
		err = l.s.cfg.Phones.Do(l.term, c)
	}
	if err != nil && !o.Stop {
		l.s.note(trace.Error, fmt.Sprintf("callback %s: the phone of %s cannot call: %v", o.Callback, o.Agent, err))
		l.put(message{in: center.Dialled{Callback: o.Callback, Offer: o.Offer, Result: center.DialUnheard}})
	}
}

// kindOf is the first part of a document's key.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}
