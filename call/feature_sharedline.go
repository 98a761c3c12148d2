package call

// sharedLine: a line that appears on several devices rings them all; the first answer wins, the others become passive.
type sharedLine struct{ abstain }

func (sharedLine) signal(e *Engine, l *Leg, s Signal) bool {
	a, ok := s.(Answered)
	if !ok || !l.ringing() || a.Desc.Kind == KindNone && l.oa != stable {
		return false
	}
	for _, o := range l.party.legs {
		if o != l && o.ringing() {
			e.setAside(o)
		}
	}
	return false
}
