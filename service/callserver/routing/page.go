package routing

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/contact"
)

// maxWaiting bounds the browsers of one call that wait for a page: one, and another that takes its place.
const maxWaiting = 4

// fetched: a browser asks for a document. One that is not the newest gets music: its session is about to be left.
func (m *Machine) fetched(f Fetched) {
	if f.Doc != m.page.doc || len(m.page.steps) == 0 {
		m.put(Page{Token: f.Token, Doc: f.Doc, Steps: m.waitingMusic()})
		return
	}
	m.page.fetched, m.page.fetchBy = true, time.Time{}
	m.put(Page{Token: f.Token, Doc: f.Doc, Steps: m.page.steps, Language: m.page.language})
}

// waitingMusic is what a browser plays that nothing else is for; nothing when the call is being ended.
func (m *Machine) waitingMusic() []contact.Play {
	if m.dead || m.at == withFar {
		return nil
	}
	return []contact.Play{{Kind: contact.Music}}
}

// submitted: a browser has done what the document says.
func (m *Machine) submitted(s Submitted) {
	if comes := m.at == underWay && m.gone == toTreat || m.ringing.what == toTreat; comes && m.at != atBrowser && s.Doc == m.page.doc && m.early == nil && !m.dead {
		m.early = &s // the browser is quicker than the news of its answer
		return
	}
	if s.Doc != m.page.doc || m.at != atBrowser || m.dead || len(m.tokens) >= maxWaiting {
		m.put(Page{Token: s.Token, Doc: s.Doc, Steps: m.waitingMusic()})
		return
	}
	m.tokens = append(m.tokens, waiting{s.Token, s.Doc})
	m.page.fetched, m.page.fetchBy = true, time.Time{}
	serial := m.page.serial
	if serial == 0 || m.treat != serial {
		m.again()
		return
	}
	m.assign(results(m.page.steps, s.Results))
	m.treat, m.page.serial, m.page.steps = 0, 0, nil
	m.note(contact.Note{Kind: contact.NoteTreated, Serial: serial})
	if m.connect.open { // somebody is being rung already: there is nothing to ask
		m.again()
		return
	}
	m.inquire(contact.Step, 0, "")
}

// again: a page of our own is over. It is played again, or what has come meanwhile.
func (m *Machine) again() {
	if m.want == nothing {
		m.music()
	}
	if m.want == toTreat {
		m.want = nothing
		m.serve()
		return
	}
	m.start()
}

// dismiss ends the sessions that wait for a page: the caller is not at their browser any more.
func (m *Machine) dismiss() {
	for _, w := range m.tokens {
		m.put(Page{Token: w.token, Doc: w.doc})
	}
	m.tokens = nil
	m.dismissEarly()
}

// dismissEarly ends the session of a browser that will not get the caller.
func (m *Machine) dismissEarly() {
	if m.early != nil {
		m.put(Page{Token: m.early.Token, Doc: m.early.Doc})
		m.early = nil
	}
}

// serve gives the page to whoever waits for one.
func (m *Machine) serve() {
	m.page.fetched, m.page.fetchBy = true, time.Time{}
	for _, w := range m.tokens {
		m.put(Page{Token: w.token, Doc: m.page.doc, Steps: m.page.steps, Language: m.page.language})
	}
	m.tokens = nil
}

// results are the variables that steps set, of what the document has submitted: by the index of each step its keys or recording (r0), or why
// there are none (w0). What a browser could not have taken by the document counts as not entered.
func results(steps []contact.Play, submitted map[string]string) map[string]string {
	out := map[string]string{}
	for i := range steps {
		p, n := &steps[i], strconv.Itoa(i)
		entered, why := strings.ReplaceAll(submitted["r"+n], " ", ""), submitted["w"+n]
		switch p.Kind {
		case contact.Menu:
			entered = chosen(p, entered)
		case contact.Digits:
			if least, most := p.Range(); len(entered) < least || len(entered) > most || strings.Trim(entered, "0123456789") != "" {
				entered = ""
			}
		case contact.Record:
		default:
			continue
		}
		if entered == "" && why == "" {
			continue // the treatment was over before
		}
		if entered != "" {
			why = ""
		} else if why != contact.WhyNoInput {
			why = contact.WhyNoMatch
		}
		out[p.Variable], out[p.Variable+contact.Why] = entered, why
	}
	return out
}

// chosen is what the keys mean in a menu; empty where they mean nothing.
func chosen(p *contact.Play, keys string) string {
	for _, c := range p.Choices {
		if c.Key == keys {
			return cmp.Or(c.Value, c.Key)
		}
	}
	return ""
}
