package rotation

import (
	"context"
	"errors"
	"time"
)

// renewer is who begins a rotation that nobody asked for.
const renewer = "automatic renewal"

// Due are the targets with something past two thirds of its life, in the order in which they are rotated. What has a newer
// generation under way is not due.
func Due(s State, now time.Time) (due []Target) {
	for _, t := range Targets() {
		if t == All {
			break
		}
		for _, group := range groupsOf(s, t) {
			if s.anyDue(group, now) {
				due = append(due, t)
				break
			}
		}
	}
	return due
}

func (s State) anyDue(members []string, now time.Time) bool {
	for _, name := range members {
		m, _ := s.Member(name)
		g, ok := m.Active()
		_, staged := m.in(Staged)
		if ok && !staged && g.due(now) {
			return true
		}
	}
	return false
}

// due reports whether a generation is past two thirds of its life.
func (g Generation) due(now time.Time) bool {
	life := g.NotAfter.Sub(g.NotBefore)
	return !g.NotAfter.IsZero() && !g.NotBefore.IsZero() && now.After(g.NotBefore.Add(life/3*2))
}

// Renew begins the rotation of the first target that is due, unless one is under way; call it daily, and Advance afterwards.
// A *RefusedError says that the renewal would strand somebody and waits for an operator.
func (r *Runner) Renew(ctx context.Context) (Status, error) {
	s, _, err := r.graph(ctx)
	if err != nil {
		return Status{}, err
	}
	var refused error
	for _, t := range Due(s, r.cfg.Now()) {
		st, err := r.Begin(ctx, t, Options{}, renewer)
		var no *RefusedError
		switch {
		case errors.As(err, &no): // another one may do
			refused = err
		case errors.Is(err, ErrRunning):
			return st, nil
		default:
			return st, err
		}
	}
	st, err := r.Status(ctx)
	return st, errors.Join(refused, err)
}
