// Package simulate plays a contact centre before it is real: callers who come at random, agents who answer and talk for random times, and
// between them the very code that routes calls in production (package center), on a clock that runs as fast as it can. The same seed gives the
// same day. What comes out is compared with Erlang's formula C (A. K. Erlang, 1917) in a test, for the one case that has a formula.
package simulate

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
)

// A Load is what comes to the centre. The zero values of durations and shares mean none; what has a default says so.
type Load struct {
	Seed uint64
	// Begin is when the day begins: for business hours. Default: Monday 2026-01-05 08:00 UTC.
	Begin time.Time
	// Length of the simulation. Default: 8 hours.
	Length time.Duration
	// Interval of the report. Default: 30 minutes.
	Interval time.Duration
	// Arrivals by the number called, in calls per hour.
	Arrivals []Arrivals
	// Pattern are factors of the arrivals, one for each equal part of the simulation; none: the same all the time.
	Pattern []float64
	// Talk is the mean time with an agent, exponentially distributed. Default: 3 minutes. Wrapping up is the team's.
	Talk time.Duration
	// Patience is the mean time a caller waits before hanging up, exponentially distributed; zero: for ever.
	Patience time.Duration
	// Answer is how long an agent's phone rings. NoAnswer is the share of offers that nobody answers; such an agent is ready again after a minute.
	Answer   time.Duration
	NoAnswer float64
	// Shrink is the share of agents who are not there.
	Shrink float64
}

// Arrivals are calls per hour to a number.
type Arrivals struct {
	Number  string  `json:"number"`
	PerHour float64 `json:"per_hour"`
}

// A Result is what became of them.
type Result struct {
	Seed      uint64        `json:"seed"`
	Calls     int           `json:"calls"`
	Agents    int           `json:"agents"`
	Occupancy float64       `json:"occupancy_percent"` // of the time agents were logged in: reserved, talking, wrapping up
	Queues    []QueueResult `json:"queues"`
	Intervals []Interval    `json:"intervals"`
	Repaired  []string      `json:"repaired,omitempty"` // what the centre had to put right: none, or it has a fault
}

// QueueResult is a queue over the whole simulation.
type QueueResult struct {
	Queue  string `json:"queue"`
	Target int    `json:"target_percent"`
	Figures
}

// An Interval is a queue in one interval of the report.
type Interval struct {
	Queue string    `json:"queue"`
	Begin time.Time `json:"begin"`
	Figures
}

// Figures are those of a report. Waits are of contacts that were answered.
type Figures struct {
	Offered      int           `json:"offered"`
	Answered     int           `json:"answered"`
	Abandoned    int           `json:"abandoned"`
	Left         int           `json:"left"`
	ServiceLevel float64       `json:"service_level_percent"` // -1: nobody came
	AbandonRate  float64       `json:"abandon_percent"`
	Average      time.Duration `json:"average_wait"`
	P50          time.Duration `json:"wait_p50"`
	P90          time.Duration `json:"wait_p90"`
	P99          time.Duration `json:"wait_p99"`
}

// Run simulates.
func Run(site *center.Site, load Load) (*Result, error) {
	if err := site.Check(); err != nil {
		return nil, err
	}
	s := &simulation{load: load.withDefaults(), calls: map[contact.CallID]*simCall{}, waits: map[string][]time.Duration{}, states: map[string]center.State{}, since: map[string]time.Time{}}
	s.rnd = rand.New(rand.NewPCG(load.Seed, 7))
	s.center, s.now = center.New(), s.load.Begin
	s.step(center.Configure{Site: staffed(site)})
	s.staff(site)
	if len(s.states) == 0 {
		return nil, fmt.Errorf("simulate: the site has no agents")
	}
	for _, a := range s.load.Arrivals {
		if !slices.ContainsFunc(site.Numbers, func(n center.Number) bool { return n.Number == a.Number }) {
			return nil, fmt.Errorf("simulate: %q is none of the site's contact numbers", a.Number)
		}
		s.nextArrival(a)
	}
	s.run()
	return s.result(), nil
}

func (l Load) withDefaults() Load {
	if l.Begin.IsZero() {
		l.Begin = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	}
	for _, d := range []struct {
		field *time.Duration
		def   time.Duration
	}{{&l.Length, 8 * time.Hour}, {&l.Interval, 30 * time.Minute}, {&l.Talk, 3 * time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.def
		}
	}
	return l
}

// staffed gives every agent a phone and a number, which the simulation needs to tell them apart.
func staffed(site *center.Site) *center.Site {
	out := *site
	out.Agents = slices.Clone(site.Agents)
	out.Reasons = nil
	for i := range out.Agents {
		out.Agents[i].Device, out.Agents[i].Number = "phone of "+out.Agents[i].Name, fmt.Sprintf("*%d", i+1)
	}
	return &out
}

type simulation struct {
	load    Load
	rnd     *rand.Rand
	center  *center.Center
	now     time.Time
	events  events
	seq     uint64
	calls   map[contact.CallID]*simCall
	born    int
	queries uint64
	waits   map[string][]time.Duration // of the interval under way, by queue
	all     []Interval
	whole   map[string][]time.Duration
	before  []center.QueueView
	states  map[string]center.State
	since   map[string]time.Time
	busy    time.Duration
	there   time.Duration
	repairs []string
}

// simCall is a caller.
type simCall struct {
	query  contact.Query
	serial uint64
	with   string
	vars   map[string]string
	hangs  bool // will hang up when nobody comes
	got    bool // an agent
}

// event is something that happens later.
type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if e[i].at.Equal(e[j].at) {
		return e[i].seq < e[j].seq
	}
	return e[i].at.Before(e[j].at)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop implements heap.Interface.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (s *simulation) later(after time.Duration, do func()) {
	s.seq++
	heap.Push(&s.events, event{s.now.Add(after), s.seq, do})
}

// exponential is a random time with a mean.
func (s *simulation) exponential(mean time.Duration) time.Duration {
	return time.Duration(s.rnd.ExpFloat64() * float64(mean))
}

// staff logs in the agents who are there.
func (s *simulation) staff(site *center.Site) {
	for _, a := range site.Agents {
		if s.rnd.Float64() < s.load.Shrink {
			continue
		}
		s.step(center.LogIn{ID: 1, Agent: a.Name, Session: "desktop"})
		s.step(center.SetState{ID: 2, Agent: a.Name, State: center.Ready})
	}
}

// nextArrival has somebody call. In each part of the day callers come at random at the rate of that part.
func (s *simulation) nextArrival(a Arrivals) {
	top := 1.0
	for _, f := range s.load.Pattern {
		top = max(top, f)
	}
	if a.PerHour <= 0 {
		return
	}
	s.later(s.exponential(time.Duration(float64(time.Hour)/(a.PerHour*top))), func() {
		if s.rnd.Float64()*top < s.factor() { // thinning: of callers at the highest rate those are kept who come at the present one
			s.arrive(a.Number)
		}
		s.nextArrival(a)
	})
}

func (s *simulation) factor() float64 {
	n := len(s.load.Pattern)
	if n == 0 {
		return 1
	}
	i := int(float64(n) * float64(s.now.Sub(s.load.Begin)) / float64(s.load.Length))
	return s.load.Pattern[min(max(i, 0), n-1)]
}

func (s *simulation) arrive(number string) {
	s.born++
	c := &simCall{vars: map[string]string{}, query: contact.Query{Call: contact.CallID(fmt.Sprintf("sim-%d", s.born)), Server: "sim", Called: number, Calling: fmt.Sprintf("+%d", 49301000000+s.born), Began: s.now}}
	s.calls[c.query.Call] = c
	s.ask(c, contact.New)
}

func (s *simulation) ask(c *simCall, r contact.Reason) {
	s.queries++
	q := c.query
	q.Reason, q.Label, q.With, q.Variables = r, c.serial, c.with, map[string]string{}
	for name, value := range c.vars {
		q.Variables[name] = value
	}
	s.step(center.Asked{ID: s.queries, Query: q})
}

// run goes from one thing that happens to the next.
func (s *simulation) run() {
	end, report := s.load.Begin.Add(s.load.Length), s.load.Begin.Add(s.load.Interval)
	s.before, s.whole = s.center.Queues(s.now), map[string][]time.Duration{}
	for {
		next := end
		if len(s.events) > 0 && s.events[0].at.Before(next) {
			next = s.events[0].at
		}
		if at := s.center.Deadline(); !at.IsZero() && at.Before(next) {
			next = at
		}
		for !report.After(next) {
			s.now = report
			s.report()
			report = report.Add(s.load.Interval)
		}
		if s.now = next; !next.Before(end) {
			return
		}
		if len(s.events) > 0 && !s.events[0].at.After(next) {
			heap.Pop(&s.events).(event).do()
			continue
		}
		s.step(nil)
	}
}

func (s *simulation) step(in center.Input) {
	for _, o := range s.center.Step(s.now, in) {
		s.output(o)
	}
}

func (s *simulation) output(o center.Output) {
	switch o := o.(type) {
	case center.Answer:
		s.label(o.Call, o.Label)
	case center.Send:
		s.label(o.Order.Call, o.Order.Label)
	case center.Lookup:
		s.later(50*time.Millisecond, func() { s.step(center.Found{Lookup: o.ID, Failed: true}) })
	case center.Dial:
		s.dial(o)
	case center.AgentChanged:
		s.agent(o.Agent)
	case center.ContactChanged:
		s.waiting(o.Contact)
		s.answered(o.Contact)
	case center.ContactEnded:
		delete(s.calls, o.Record.Call)
	case center.Repaired:
		s.repairs = append(s.repairs, o.What)
	}
}

// agent counts what agents do with their time, and has those come back who have not answered.
func (s *simulation) agent(r center.AgentRecord) {
	was, known := s.states[r.Agent]
	if known && was != center.LoggedOut {
		spent := s.now.Sub(s.since[r.Agent])
		s.there += spent
		if was == center.Reserved || was == center.Talking || was == center.Hold || was == center.Work {
			s.busy += spent
		}
	}
	s.states[r.Agent], s.since[r.Agent] = r.State, s.now
	if r.Reason == center.ReasonNoAnswer {
		s.later(time.Minute, func() { s.step(center.SetState{ID: 3, Agent: r.Agent, State: center.Ready}) })
	}
}

// waiting gives a caller who waits for the first time so much patience.
func (s *simulation) waiting(v center.ContactView) {
	c := s.calls[v.Call]
	if c == nil || c.hangs || v.Phase != center.Waiting || s.load.Patience <= 0 {
		return
	}
	c.hangs = true
	s.later(s.exponential(s.load.Patience), func() {
		if now, ok := s.center.Contact(v.Call); ok && (now.Phase == center.Waiting || now.Phase == center.Offered) {
			s.ended(c, contact.ByCaller)
		}
	})
}

// answered notes what somebody has waited who has got an agent.
func (s *simulation) answered(v center.ContactView) {
	c := s.calls[v.Call]
	if v.Phase != center.Connected || c != nil && c.got {
		return
	}
	if c != nil { // one who is called back is told once
		c.got = true
	}
	s.waits[v.Queue] = append(s.waits[v.Queue], s.now.Sub(v.Since))
}

func (s *simulation) ended(c *simCall, by contact.Side) {
	s.step(center.Noted{Note: contact.Note{Server: "sim", Call: c.query.Call, Serial: c.serial, Kind: contact.NoteEnded, By: by}})
}

// label is a call server that does what it is told.
func (s *simulation) label(id contact.CallID, l contact.Label) {
	c := s.calls[id]
	if c == nil || l.Serial <= c.serial {
		return
	}
	c.serial = l.Serial
	for name, value := range l.Variables {
		c.vars[name] = value
	}
	still := func(do func()) func() { // nothing else was said meanwhile
		return func() {
			if s.calls[id] == c && c.serial == l.Serial {
				do()
			}
		}
	}
	switch l.Kind {
	case contact.End:
		s.later(0, still(func() { s.ended(c, contact.ByServer) }))
	case contact.Connect:
		s.connect(c, l, still)
	case contact.Treat:
		s.treat(c, l.Steps, still)
	}
}

func (s *simulation) connect(c *simCall, l contact.Label, still func(func()) func()) {
	agent := strings.HasPrefix(l.Number, "*")
	if agent && s.rnd.Float64() < s.load.NoAnswer {
		s.later(l.NoAnswer, still(func() { c.with = l.Number; s.ask(c, contact.NoAnswer) }))
		return
	}
	s.later(s.load.Answer, still(func() {
		s.step(center.Noted{Note: contact.Note{Server: "sim", Call: c.query.Call, Serial: l.Serial, Kind: contact.NoteConnected, Number: l.Number}})
		s.later(s.exponential(s.load.Talk), still(func() { s.ended(c, contact.ByCaller) }))
	}))
}

// treat has a caller hear steps: 3 s for each that is said, and the keys of a menu pressed at random, none as often as each.
func (s *simulation) treat(c *simCall, steps []contact.Play, still func(func()) func()) {
	took := time.Duration(0)
	for _, p := range steps {
		switch p.Kind {
		case contact.Music:
			if p.For == 0 {
				return
			}
			took += p.For
		case contact.Menu:
			took += 5 * time.Second
			if i := s.rnd.IntN(len(p.Choices) + 1); i < len(p.Choices) {
				c.vars[p.Variable] = p.Choices[i].Key
			} else {
				c.vars[p.Variable] = ""
			}
		case contact.Digits:
			took += 6 * time.Second
			least, _ := p.Range()
			c.vars[p.Variable] = strings.Repeat("1", least)
		default:
			took += 3 * time.Second
		}
	}
	s.later(took, still(func() { s.ask(c, contact.Step) }))
}

func (s *simulation) dial(o center.Dial) {
	if o.Stop {
		return
	}
	s.later(10*time.Second, func() {
		s.step(center.Dialled{Callback: o.Callback, Offer: o.Offer, Result: center.DialConnected})
		s.later(s.exponential(s.load.Talk), func() { s.step(center.Dialled{Callback: o.Callback, Offer: o.Offer, Result: center.DialEnded}) })
	})
}

// report closes an interval.
func (s *simulation) report() {
	now := s.center.Queues(s.now)
	for i, q := range now {
		c := q.Counts.Minus(s.before[i].Counts)
		s.whole[q.Queue] = append(s.whole[q.Queue], s.waits[q.Queue]...)
		s.all = append(s.all, Interval{Queue: q.Queue, Begin: s.now.Add(-s.load.Interval), Figures: figures(q, c, s.waits[q.Queue])})
	}
	s.before, s.waits = now, map[string][]time.Duration{}
}

func figures(q center.QueueView, c center.Counts, waits []time.Duration) Figures {
	f := Figures{Offered: c.Offered, Answered: c.Answered, Abandoned: c.Abandoned + c.Short, Left: c.Left, ServiceLevel: -1}
	if sl, ok := c.ServiceLevel(q.Rule); ok {
		f.ServiceLevel = math.Round(10*sl) / 10
	}
	if n := f.Answered + f.Abandoned; n > 0 {
		f.AbandonRate = math.Round(1000*float64(f.Abandoned)/float64(n)) / 10
	}
	if c.Answered > 0 {
		f.Average = (c.AnswerWait / time.Duration(c.Answered)).Round(time.Millisecond)
	}
	slices.Sort(waits)
	at := func(p float64) time.Duration {
		if len(waits) == 0 {
			return 0
		}
		return waits[min(int(p*float64(len(waits))), len(waits)-1)].Round(time.Millisecond)
	}
	f.P50, f.P90, f.P99 = at(0.5), at(0.9), at(0.99)
	return f
}

func (s *simulation) result() *Result {
	r := &Result{Seed: s.load.Seed, Calls: s.born, Intervals: s.all, Repaired: s.repairs}
	for _, a := range s.center.Agents() {
		if a.State != center.LoggedOut {
			r.Agents++
			s.agent(a) // what it was doing up to now
		}
	}
	if s.there > 0 {
		r.Occupancy = math.Round(1000*float64(s.busy)/float64(s.there)) / 10
	}
	for _, q := range s.center.Queues(s.now) {
		r.Queues = append(r.Queues, QueueResult{Queue: q.Queue, Target: q.Target, Figures: figures(q, q.Counts, append(s.whole[q.Queue], s.waits[q.Queue]...))})
	}
	return r
}

// ErlangC is the share of callers who have to wait where n agents have a load of so many erlangs (calls per hour times hours per call), and
// nobody hangs up. A. K. Erlang, 1917.
func ErlangC(n int, load float64) float64 {
	if load >= float64(n) {
		return 1
	}
	b := 1.0 // Erlang's formula B, by its recursion
	for i := 1; i <= n; i++ {
		b = load * b / (float64(i) + load*b)
	}
	return b / (1 - load/float64(n)*(1-b))
}
