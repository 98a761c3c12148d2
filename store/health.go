package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Health is what the store says about itself.
type Health struct {
	Engine   string `json:"engine"`   // sqlite or postgresql
	Location string `json:"location"` // file, or hosts and database, without credentials
	OK       bool   `json:"ok"`
	Problem  string `json:"problem,omitempty"` // one sentence with what to do
	Revision int64  `json:"revision"`
	Bytes    int64  `json:"bytes,omitempty"` // size of the database where known
	// Stale says that PostgreSQL is away, and reads are answered by the copy of this node where it has one, or from memory.
	Stale bool      `json:"stale,omitempty"`
	Since time.Time `json:"since,omitzero"` // when it went away
	// Copied is when this node's copy was brought up to date last; zero: there is none.
	Copied time.Time `json:"copied,omitzero"`
	// Waiting counts what waits in the outbox: batches of call records, and settings of users.
	Waiting      int64 `json:"waiting,omitempty"`
	WaitingBytes int64 `json:"waitingBytes,omitempty"`
}

// lowSpace is the free space under which Health warns, in bytes: a small write
// may still succeed in space the file already has, the next large one will not.
const lowSpace = 16 << 20

// Health asks the engine whether it can be written, by writing, and looks at
// the space that is left, for the copy and the outbox too.
func (s *Store) Health(ctx context.Context) Health {
	st := s.waiting()
	h := Health{Engine: s.e.name, Location: s.e.location, Revision: s.Known().Revision.Number, Waiting: st.records + st.documents, WaitingBytes: st.bytes}
	if s.copy != nil {
		mark, _ := s.copy.state()
		h.Copied = mark.Time
	}
	if since, why := s.presence(); why != nil {
		h.Stale, h.Since = true, since.UTC()
	}
	err := s.PutState(ctx, "", "health", []byte(s.now().UTC().Format(time.RFC3339)))
	if err == nil {
		err = s.e.failure("ask for the size", s.e.read.QueryRowContext(ctx, s.e.size).Scan(&h.Bytes))
	}
	h.OK = err == nil
	switch {
	case err == nil:
		err = s.trouble(st)
	case h.Stale && s.outbox != nil:
		err = fmt.Errorf("%w; changes of the configuration are refused until then, calls go on, and %d batches of records and %d settings of users wait on this node (%d KiB of %d MiB)",
			err, st.records, st.documents, st.bytes>>10, s.outbox.limit>>20)
	}
	if err != nil {
		h.OK, h.Problem = h.OK && !errors.Is(err, ErrNoSpace), err.Error()
	}
	return h
}

// trouble is what is wrong although the record can be written.
func (s *Store) trouble(st outboxStats) error {
	for _, e := range s.files() {
		if free, known := e.free(); known && free < lowSpace {
			return fmt.Errorf("store: %w: %d MiB left for %s; free some before changes and call records are refused", ErrNoSpace, free>>20, e.location)
		}
	}
	if err := s.copyTrouble(); err != nil {
		return fmt.Errorf("store: this node's copy of the record is behind, it would start with an old state were PostgreSQL away: %w", err)
	}
	switch {
	case st.problem != nil:
		return fmt.Errorf("store: what waits in the outbox cannot be written: %w", st.problem)
	case st.refused > 0:
		return fmt.Errorf("store: PostgreSQL does not take %d batches of what waited in %s; they are kept there (SELECT * FROM waiting) for whoever looks into it", st.refused, s.outbox.e.path)
	}
	return nil
}

// files are the engines with a file on this node.
func (s *Store) files() []*engine {
	out := []*engine{s.e}
	if s.copy != nil {
		out = append(out, s.copy.e)
	}
	if s.outbox != nil {
		out = append(out, s.outbox.e)
	}
	return out
}

// presence says since when the record has been here, or away and why.
func (s *Store) presence() (since time.Time, why error) {
	if s.e == nil || s.e.link == nil {
		return time.Time{}, nil
	}
	return s.e.link.state()
}

// copyTrouble is why the copy is behind although the record can be asked.
func (s *Store) copyTrouble() error {
	if _, why := s.presence(); s.copy == nil || why != nil {
		return nil
	}
	_, err := s.copy.state()
	return err
}

func (s *Store) waiting() outboxStats {
	if s.outbox == nil {
		return outboxStats{}
	}
	return s.outbox.look()
}
