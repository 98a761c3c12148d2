package store

import (
	"context"
	"errors"
)

// ask runs a read on the record and, while that is away, on this node's copy of it. f may run twice: what it found the first time does not
// count then.
func (s *Store) ask(ctx context.Context, doing string, f func(e *engine, q querier) error) error {
	err := s.e.failure(doing, f(s.e, s.e.read))
	if !errors.Is(err, ErrUnavailable) || !s.hasCopy() {
		return err
	}
	return s.copy.e.failure(doing, f(s.copy.e, s.copy.e.read))
}

// hasCopy says that there is a copy which holds something.
func (s *Store) hasCopy() bool {
	if s.copy == nil {
		return false
	}
	mark, _ := s.copy.state()
	return mark.Record != ""
}

// startFromCopy takes what the copy holds for the truth, marked stale, because the record cannot be reached.
func (s *Store) startFromCopy(ctx context.Context, reason error) error {
	const doing = "read the copy of the record"
	c := s.copy.e
	newest, err := c.newest(ctx, c.read)
	if err != nil {
		return c.failure(doing, err)
	}
	site, err := c.site(ctx, c.read)
	if err != nil {
		return c.failure(doing, err)
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	s.publish(&Snapshot{Revision: newest, Site: site, Stale: true, Reason: reason})
	return nil
}
