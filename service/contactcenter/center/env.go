package center

import (
	"math"
	"strings"
	"time"

	"github.com/locktone/locktone/contact/expression"
)

// Variable implements expression.Env: an agent's attributes.
func (a *agent) Variable(name string) expression.Value {
	for _, x := range a.Attributes {
		if x.Name == name {
			return x.Value
		}
	}
	return expression.Value{}
}

// Function implements expression.Env: conditions on agents have none.
func (a *agent) Function(expression.Call) expression.Value { return expression.Value{} }

// env are the values of names in a contact's script.
type env struct {
	c *Center
	w *caller
}

// Variable implements expression.Env.
func (e env) Variable(name string) expression.Value {
	w := e.w
	switch name {
	case "called":
		return expression.Text(w.query.Called)
	case "calling":
		return expression.Text(w.query.Calling)
	case "display":
		return expression.Text(w.query.Display)
	}
	if w.queue == nil || w.phase != Waiting {
		if v, ok := w.vars[name]; ok {
			return expression.Read(v)
		}
		return expression.Value{}
	}
	switch name {
	case "queue":
		return expression.Text(w.queue.Name)
	case "position":
		return expression.Number(float64(w.queue.position(w)))
	case "waited":
		return seconds(e.c.now.Sub(w.since))
	case "estimate":
		return seconds(w.queue.estimate(w.queue.position(w)))
	case "minutes": // people are told minutes, and never none
		return expression.Number(max(1, math.Ceil(w.queue.estimate(w.queue.position(w)).Minutes())))
	}
	if v, ok := w.vars[name]; ok {
		return expression.Read(v)
	}
	return expression.Value{}
}

func seconds(d time.Duration) expression.Value {
	return expression.Number(math.Round(d.Seconds()))
}

// Function implements expression.Env.
func (e env) Function(f expression.Call) expression.Value {
	q := e.c.queues[f.Argument]
	if q == nil {
		return expression.Value{}
	}
	waiting, oldest := q.waiting(e.c.now)
	serving, ready := q.serving()
	switch f.Function {
	case "waiting":
		return expression.Number(float64(waiting))
	case "ready":
		return expression.Number(float64(ready))
	case "serving":
		return expression.Number(float64(serving))
	case "agents":
		return expression.Number(float64(q.loggedIn()))
	case "oldest":
		return seconds(oldest)
	case "estimate":
		return seconds(q.estimate(waiting + 1))
	}
	return expression.Value{}
}

// escaped are the same values as parts of a URL.
type escaped struct{ env }

// Variable implements expression.Env.
func (e escaped) Variable(name string) expression.Value {
	return expression.Text(escape(e.env.Variable(name).String()))
}

// open says whether a schedule is open.
func (s Schedule) open(at time.Time) bool {
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	return s.Schedule.Open(at.In(zone))
}

// escape writes text as a part of a URL that ends none of its components (RFC 3986, 2.1: percent-encoding).
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}
