package routing

import (
	"maps"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// ask is the question to the contact centre.
type ask struct {
	router contact.Router
	seq    uint64        // of the last one sent
	open   bool          // it is not answered
	query  contact.Query // what is asked
	since  time.Time     // since when there is no answer
	sent   time.Time     // when it was last sent; zero: it waits for after
	after  time.Time     // not before this
	silent bool          // AskTimeout has passed: the default treatment counts
	called time.Time     // when the survival number was called last
	fails  int           // questions shortly behind one another about something that failed
	failed time.Time     // when the last of them was
}

// patience is how many failures in a row are asked about at once; further ones wait for AskAgain, so that a Label that cannot be done does
// not make a loop.
const patience = 4

// inquire asks where the call goes now. It takes the place of a question that is open.
func (m *Machine) inquire(reason contact.Reason, cause call.Cause, with string) {
	if m.dead {
		return
	}
	a := &m.ask
	q := m.query
	q.Reason, q.Cause, q.With, q.State, q.Variables = reason, cause, with, m.state(), maps.Clone(q.Variables)
	if !a.open {
		a.since, a.silent, a.called = m.now, false, time.Time{}
	}
	a.open, a.query, a.sent, a.after = true, q, time.Time{}, m.now
	switch reason {
	case contact.Failed, contact.TreatmentFailed, contact.Busy, contact.Left:
		if m.now.Sub(a.failed) > 2*m.set.AskAgain {
			a.fails = 0
		}
		a.failed = m.now
		if a.fails++; a.fails > patience {
			a.after = m.now.Add(m.set.AskAgain)
		}
	}
	m.send()
}

// send sends the question when its time has come and somebody leads.
func (m *Machine) send() {
	a := &m.ask
	if !a.open || m.now.Before(a.after) {
		return
	}
	a.sent, a.after = m.now, m.now.Add(m.set.AskTimeout+m.set.AskAgain)
	if a.router.Node == "" {
		return
	}
	a.seq++
	q := a.query
	q.State = m.state()
	if q.With == "" {
		q.With = m.with
	}
	m.put(Ask{Seq: a.seq, Query: q})
}

// routerIs: another contact centre leads, or nobody. Every call is told to one that does not know it.
func (m *Machine) routerIs(r contact.Router) {
	a := &m.ask
	if r == a.router {
		return
	}
	a.router = r
	if a.open {
		a.after = m.now
		m.send()
		return
	}
	m.inquire(contact.Again, call.CauseNone, "")
}

// answered takes the answer to a question. A late one counts too, as long as its Serial is new.
func (m *Machine) answered(in Answered) {
	a := &m.ask
	if in.Why == "" && in.Label.Check() == nil && in.Label.Serial > m.query.Label {
		m.take(in.Label)
	} else if a.open && in.Seq == a.seq {
		a.after = m.now.Add(m.set.AskAgain)
	}
}

// ordered takes a Label out of turn.
func (m *Machine) ordered(l contact.Label) {
	t := contact.TakenAnswer{Taken: contact.OrderTaken}
	if err := l.Check(); err != nil {
		t = contact.TakenAnswer{Taken: contact.BadLabel, Why: err.Error()}
	} else if l.Serial <= m.query.Label {
		t = contact.TakenAnswer{Taken: contact.OldLabel, Why: "a label with this serial or a higher one was taken before"}
	} else if m.dead {
		t = contact.TakenAnswer{Taken: contact.UnknownCall, Why: "the call is being ended"}
	}
	m.put(Took{t})
	if t.Taken == contact.OrderTaken {
		m.take(l)
	}
}

// take carries a Label out. It answers whatever was asked.
func (m *Machine) take(l contact.Label) {
	if m.dead {
		return
	}
	m.query.Label = l.Serial
	m.ask.open, m.ask.silent = false, false
	m.assign(l.Variables)
	switch l.Kind {
	case contact.Treat:
		m.disconnect()
		m.supersede()
		m.treat = l.Serial
		m.turn(l.Serial, l.Steps, l.Language)
	case contact.Connect:
		m.disconnect()
		m.connect, m.want = connect{label: l, open: true}, toNumber
	case contact.End:
		m.end(l.Cause)
		return
	}
	m.start()
	m.stay()
	m.keep()
}

// disconnect gives up the number that is being called.
func (m *Machine) disconnect() {
	c := m.connect
	m.connect = connect{}
	if m.want == toNumber {
		m.want = nothing
	}
	if m.ringing.what == toNumber {
		m.cancel()
	}
	if c.open && c.label.Serial != 0 {
		m.note(contact.Note{Kind: contact.NoteSuperseded, Serial: c.label.Serial, Number: c.label.Number})
	}
}

// stay gives a caller for whom nothing is done music: one who is nowhere, and one whose browser asks what comes next.
func (m *Machine) stay() {
	if m.want != nothing || m.dead || m.ask.open {
		return
	}
	switch {
	case m.at == atRouter && m.ringing.what == nothing:
		m.music()
	case m.at == atBrowser && len(m.tokens) > 0:
		m.music()
	default:
		return
	}
	m.start()
}

// assign sets variables of the call, as many as there may be.
func (m *Machine) assign(v map[string]string) {
	if len(v) == 0 {
		return
	}
	next := maps.Clone(m.query.Variables)
	if next == nil {
		next = map[string]string{}
	}
	for name, value := range v {
		if value == "" {
			delete(next, name)
		} else {
			next[name] = value
		}
	}
	if contact.CheckVariables(next) == nil {
		m.query.Variables = next
	}
}

// due does what its time has come for.
func (m *Machine) due() {
	a := &m.ask
	if a.open && !a.silent && !m.now.Before(a.since.Add(m.set.AskTimeout)) {
		a.silent = true
		m.comfort()
	}
	if a.open && !m.now.Before(a.after) {
		m.send()
		if a.silent {
			m.comfort()
		}
	}
	m.survive()
	if t := m.page.fetchBy; !t.IsZero() && m.at == atBrowser && !m.now.Before(t) {
		m.lost(call.RecoveryOnTimerExpiry)
	}
	if t := m.connect.due; m.connect.open && !t.IsZero() && !m.now.Before(t) {
		m.tooLong()
	}
}

// tooLong: the number has rung long enough, whatever the engine thinks of that.
func (m *Machine) tooLong() {
	switch {
	case m.ringing.what == toNumber:
		m.cancel()
		m.connectFailed(call.NoAnswer)
	case m.at == underWay && m.gone == toNumber && m.far != 0 && !m.pulled:
		m.cause = call.NoAnswer
		m.pull()
	case m.want == toNumber:
		m.want = nothing
		m.connectFailed(call.NoAnswer)
	}
	m.connect.due = time.Time{}
}

// comfort plays the default treatment to a caller for whom nothing is done.
func (m *Machine) comfort() {
	if m.want != nothing || m.dead || m.ringing.what != nothing {
		return
	}
	if m.at == atRouter || m.at == atBrowser && len(m.tokens) > 0 {
		m.supersede()
		m.turn(0, m.set.Default, "")
		m.start()
	}
}

// survive calls the survival number.
func (m *Machine) survive() {
	a := &m.ask
	if !a.open || m.set.SurvivalNumber == "" || m.dead || m.connect.open || m.want != nothing || m.at != atRouter && m.at != atBrowser || m.now.Before(m.survival()) {
		return
	}
	a.called = m.now
	m.connect, m.want = connect{label: contact.Label{Kind: contact.Connect, Number: m.set.SurvivalNumber}, open: true}, toNumber
	m.start()
}

// survival is when the survival number is called next.
func (m *Machine) survival() time.Time {
	if !m.ask.called.IsZero() {
		return m.ask.called.Add(m.noAnswer() + m.set.SurvivalAfter)
	}
	return m.ask.since.Add(m.set.SurvivalAfter)
}

// Deadline is when the machine wants to be stepped although nothing has happened; zero: never.
func (m *Machine) Deadline() time.Time {
	var first time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if m.at == over {
		return first
	}
	if a := &m.ask; a.open {
		if !a.silent {
			at(a.since.Add(m.set.AskTimeout))
		}
		at(a.after)
		if m.set.SurvivalNumber != "" && !m.connect.open && m.want == nothing && !m.dead && (m.at == atRouter || m.at == atBrowser) {
			at(m.survival())
		}
	}
	if m.at == atBrowser {
		at(m.page.fetchBy)
	}
	if m.connect.open {
		at(m.connect.due)
	}
	return first
}
