package rotation

import (
	"slices"
)

// after returns the state behind a step. Steps that wait change nothing. Roots move first: they issue the rest.
func (s State) after(st Step) State {
	n := s
	n.Members = slices.Clone(s.Members)
	for _, roots := range []bool{true, false} {
		for i, m := range n.Members {
			if (m.Kind == Root) == roots && slices.Contains(st.Members, m.Name) {
				n.Members[i] = m.moved(st.Action, n.issuer(m))
			}
		}
	}
	if st.Action == Publish || st.Action == Replace {
		n.Published = n.listing()
	}
	return n
}

// issuer is what a new generation of a member will be issued by: the active root, unless its present one is self-signed or
// foreign.
func (s State) issuer(m Member) ID {
	now, ok := m.Active()
	if !ok || now.Issuer == "" {
		return ""
	}
	for _, r := range s.Members {
		if g, ok := r.Active(); ok && r.Kind == Root {
			return g.ID
		}
	}
	return ""
}

// moved is the member after an action.
func (m Member) moved(a Action, issuer ID) Member {
	m.Generations = slices.Clone(m.Generations)
	switch a {
	case Stage:
		m.stage(issuer)
	case Activate:
		m.activate()
	case Retire:
		m.retire()
	case Replace:
		m.stage(issuer)
		m.activate()
		m.retire()
	}
	return m
}

func (m *Member) stage(issuer ID) {
	if _, ok := m.in(Staged); ok {
		return
	}
	n := m.next()
	m.Generations = append(m.Generations, Generation{ID: NewID(m.Name, n), Number: n, Issuer: issuer})
}

func (m *Member) activate() {
	if _, ok := m.in(Staged); !ok {
		return
	}
	for i := range m.Generations {
		switch g := &m.Generations[i]; g.Phase {
		case Active:
			g.Phase = Retiring
		case Staged:
			g.Phase = Active
		}
	}
}

func (m *Member) retire() {
	m.Generations = slices.DeleteFunc(m.Generations, func(g Generation) bool { return g.Phase == Retiring })
}

// listing is what a list built now names: every generation that exists, roots left out; of the signers the active ones, then
// the staged ones, since many phones remember the first two only. A retiring signer stands in its own variant alone.
func (s State) listing() List {
	l := List{Version: s.Published.Version + 1}
	for _, p := range []Phase{Active, Staged, Retiring} {
		for _, m := range s.Members {
			for _, g := range m.Generations {
				switch {
				case g.Phase != p || m.Kind == Root:
				case m.Kind == Signer && p == Retiring:
				case m.Kind == Signer:
					l.Signers = append(l.Signers, g.ID)
				default:
					l.Others = append(l.Others, g.ID)
				}
			}
		}
	}
	l.Others = normal(l.Others)
	l.Variants = []ID{} // none is not nil
	for _, g := range s.signers() {
		l.Variants = append(l.Variants, g.ID)
	}
	return l
}
