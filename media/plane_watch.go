package media

import (
	"cmp"
	"slices"
	"time"
)

// watching is the goroutine that looks at every leg whose media comes by here.
func (p *Plane) watching() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-p.ended:
			return
		case now := <-ticker.C:
			for _, r := range p.changes(now) {
				p.cfg.Watch(r)
			}
		}
	}
}

// changes are the reports of legs whose proof is another than was reported.
func (p *Plane) changes(now time.Time) (all []Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.legs {
		if proof, why := l.proof(now); proof != l.told || why != l.toldWhy {
			l.told, l.toldWhy = proof, why
			all = append(all, Report{l.id, proof, why})
		}
	}
	slices.SortFunc(all, func(a, b Report) int { return cmp.Compare(a.Leg, b.Leg) })
	return all
}

// proof is what the leg's packets show now. A leg that says nothing while it hears music keeps the proof it gave before.
func (l *leg) proof(now time.Time) (Proof, string) {
	var proof Proof
	var why string
	switch {
	case l.how == wayAnchored && l.port != nil:
		n, ok := l.portE.Stream()
		if !ok {
			break
		}
		in, stray := l.port.Heard()
		l.watch.look(now, view{n: n, in: in, stray: stray})
		proof, why = l.watch.proof()
	case l.how == waySourced && l.source != nil:
		proof, why = l.source.proof(now)
	default:
		return ProofNone, ""
	}
	if proof == ProofSilent && l.how == waySourced && l.seat == nil {
		proof, why = ProofNone, "" // who only hears a tone or music need not speak
	}
	if proof == ProofNone && l.told < ProofFailed {
		return l.told, ""
	}
	return proof, why
}
