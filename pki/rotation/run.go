package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/locktone/locktone/store"
)

// Site is what a Runner needs of the site. Every method but Graph is idempotent: after a crash the last one is called again.
// A member that another node runs is answered with ErrElsewhere: the runner of that node does it, and this one goes on when
// the Graph shows that it is done.
type Site interface {
	// Graph is the site as it is now: what exists, and what every device holds by the bytes it fetched last. See Survey.
	Graph(ctx context.Context) (State, []Device, error)
	// Stage makes the member's generation and lets lists name it; nothing presents it. It does nothing when the member has
	// one of that number or a higher one.
	Stage(ctx context.Context, member string, generation int) error
	// Activate puts the staged generation in use: the next handshake presents it, the next list is signed with it, the next
	// certificate is issued from it. Of the roots it also orders the renewal of every LSC under an older one. The former
	// generation becomes Retiring. It does nothing when that generation or a later one is in use.
	Activate(ctx context.Context, member string, generation int) error
	// Retire forgets every generation of the member below this one and destroys its keys.
	Retire(ctx context.Context, member string, generation int) error
	// Publish builds and signs lists of what exists now, one variant per signer whose key there is. Nothing changed: no new
	// version.
	Publish(ctx context.Context) error
}

// Documents is where a run is written down; *store.Documents is one (Collection).
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	Put(ctx context.Context, key string, value any, ifRevision int64) (int64, error)
}

// Collection is the collection of the store in which runs are kept.
const Collection = "rotation"

// The keys in it.
const (
	keyRun  = "run"
	keyTold = "told"
)

// Config makes a Runner.
type Config struct {
	Site      Site
	Documents Documents
	Now       func() time.Time // nil: time.Now
	// Patience is how long a gate gives devices that are awake before it goes on without them; default 15 minutes. Devices
	// that would be stranded are waited for without end.
	Patience time.Duration
	// Asleep is how long a device has not been seen to count as asleep; default DefaultAsleep.
	Asleep time.Duration
}

// Runner runs plans. Several nodes may have one over the same documents: a step is done when it is written down, and doing
// it twice does no harm.
type Runner struct{ cfg Config }

// NewRunner returns a runner.
func NewRunner(cfg Config) (*Runner, error) {
	if cfg.Site == nil || cfg.Documents == nil {
		return nil, errors.New("rotation: a site and documents are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Patience == 0 {
		cfg.Patience = 15 * time.Minute
	}
	if cfg.Asleep == 0 {
		cfg.Asleep = DefaultAsleep
	}
	return &Runner{cfg}, nil
}

// Status is how far a run is.
type Status struct {
	Target   Target    `json:"target,omitempty"`
	Order    Order     `json:"order,omitempty"`
	By       string    `json:"by,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Done     int       `json:"done"`               // steps that are
	Since    time.Time `json:"since,omitzero"`     // the step at work is being tried or waited for
	Steps    []Step    `json:"steps"`              // Steps[Done] is at work
	Accepted []string  `json:"accepted,omitempty"` // devices the operator has given up
	Note     string    `json:"note,omitempty"`     // the plan's: how those prove what they know whom it waits for
	Waits    []Victim  `json:"waits,omitempty"`    // whom the step waits for, at most twenty, and why
	Waiting  int       `json:"waiting"`            // how many
	Needed   int       `json:"needed"`             // how many of these would be stranded: without them it never goes on
	GoesOn   time.Time `json:"goes_on,omitzero"`   // when it goes on without those that are not needed
	Problem  string    `json:"problem,omitempty"`  // the last attempt at the step failed
}

// Running reports whether there are steps left.
func (s Status) Running() bool { return !s.Started.IsZero() && s.Ended.IsZero() }

// waitsShown is how many names a status has.
const waitsShown = 20

// ErrElsewhere says that another node runs the member, and has to do what was asked for.
var ErrElsewhere = errors.New("another node has to do this")

// ErrRunning means that another rotation is under way.
var ErrRunning = errors.New("a rotation is under way")

// RefusedError refuses to run a plan.
type RefusedError struct{ Plan Plan }

// Error says why.
func (e *RefusedError) Error() string { return "refused: " + e.Plan.Refused }

// run reads what is written down; the zero status when nothing is.
func (r *Runner) run(ctx context.Context) (st Status, revision int64, err error) {
	revision, err = r.read(ctx, keyRun, &st)
	return st, revision, err
}

// read reads a document; revision 0 and no error when there is none.
func (r *Runner) read(ctx context.Context, key string, into any) (revision int64, err error) {
	doc, err := r.cfg.Documents.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	return doc.Revision, json.Unmarshal(doc.Value, into)
}

// graph is the site now, with what operators told us of their peers.
func (r *Runner) graph(ctx context.Context) (State, []Device, error) {
	s, ds, err := r.cfg.Site.Graph(ctx)
	if err != nil {
		return s, ds, fmt.Errorf("the trust graph cannot be read: %w", err)
	}
	s.Time = r.cfg.Now()
	told := make(map[string][]ID)
	if _, err := r.read(ctx, keyTold, &told); err != nil {
		return s, ds, err
	}
	for i, d := range ds {
		if ids := told[d.Name]; d.Peer && ids != nil {
			ds[i].Held.Knows = normal(append(slices.Clone(d.Held.Knows), ids...))
		}
	}
	return s, ds, nil
}

// Plan plans a rotation of the site as it is now.
func (r *Runner) Plan(ctx context.Context, target Target, o Options) (Plan, error) {
	s, ds, err := r.graph(ctx)
	if err != nil {
		return Plan{}, err
	}
	o.Asleep = r.cfg.Asleep
	return New(s, ds, target, o)
}

// Begin plans the rotation and writes it down as the one to run; Advance then runs it. It fails with a *RefusedError when the
// plan is refused, and with ErrRunning when another one is under way.
func (r *Runner) Begin(ctx context.Context, target Target, o Options, by string) (Status, error) {
	now, revision, err := r.run(ctx)
	if err != nil {
		return now, err
	}
	if now.Running() {
		return now, fmt.Errorf("%w: %s, begun by %s on %s, at step %d of %d: let it end first", ErrRunning, now.Target, now.By, now.Started.UTC().Format("2006-01-02 15:04"), now.Done+1, len(now.Steps))
	}
	p, err := r.Plan(ctx, target, o)
	if err != nil {
		return now, err
	}
	if p.Refused != "" {
		return now, &RefusedError{p}
	}
	for i := range p.Steps { // names are worked out anew when they matter, and ten thousand do not fit a document
		p.Steps[i].Victims = nil
		if g := p.Steps[i].Gate; g != nil {
			g.Needed, g.Peers = nil, nil
		}
	}
	st := Status{Target: target, Order: o.Order, By: by, Started: r.cfg.Now(), Since: r.cfg.Now(), Steps: p.Steps, Accepted: p.Accepted, Note: p.Note}
	_, err = r.cfg.Documents.Put(ctx, keyRun, st, revision)
	if errors.Is(err, store.ErrConflict) {
		err = fmt.Errorf("%w: it was begun elsewhere at the same moment", ErrRunning)
	}
	return st, err
}

// Advance takes steps until one has to wait or the run is over. Call it after Begin, at the start of the node, whenever
// holdings change, and now and then. Without a run it does nothing. An error is a step that failed: it is tried again by the
// next call.
func (r *Runner) Advance(ctx context.Context) (Status, error) {
	for {
		st, revision, err := r.run(ctx)
		if err != nil || !st.Running() {
			return st, err
		}
		before := st.Problem
		err = r.step(ctx, &st)
		if err == nil && st.Waiting > 0 {
			return st, nil
		}
		if errors.Is(err, ErrElsewhere) || err != nil && st.Problem == before { // nothing new to write down: it would only wake everybody who watches
			return st, fmt.Errorf("step %d (%s) of rotating %s: %w", st.Done+1, st.Steps[st.Done].Action, st.Target, err)
		}
		_, writeErr := r.cfg.Documents.Put(ctx, keyRun, st, revision)
		switch {
		case err != nil:
			return st, fmt.Errorf("step %d (%s) of rotating %s: %w", st.Done+1, st.Steps[st.Done].Action, st.Target, err)
		case errors.Is(writeErr, store.ErrConflict): // another node did it too
		case writeErr != nil:
			return st, writeErr
		}
	}
}

// step does the step at work if it may be done, and notes it.
func (r *Runner) step(ctx context.Context, st *Status) error {
	err := r.wait(ctx, st)
	if err != nil || st.Waiting > 0 {
		return r.failed(st, err)
	}
	if err := r.do(ctx, st.Steps[st.Done]); err != nil {
		return r.failed(st, err)
	}
	st.Done, st.Since, st.Problem = st.Done+1, r.cfg.Now(), ""
	if st.Done == len(st.Steps) {
		st.Ended = r.cfg.Now()
	}
	return nil
}

func (r *Runner) failed(st *Status, err error) error {
	if err != nil {
		st.Problem = err.Error()
	}
	return err
}

// ahead is the step whose consequences decide now: a wait is for the step behind it.
func (s Status) ahead() (Step, bool) {
	step := s.Steps[s.Done]
	if step.Action == Wait && s.Done+1 < len(s.Steps) {
		step = s.Steps[s.Done+1]
	}
	return step, step.Action == Activate || step.Action == Retire || step.Action == Replace
}

// wait looks who stands in the way of the step at work: whoever it would strand, and while there is patience whoever is
// awake and does not know yet what will be in use.
func (r *Runner) wait(ctx context.Context, st *Status) error {
	st.Waits, st.Waiting, st.Needed, st.GoesOn = nil, 0, 0, time.Time{}
	step, dangerous := st.ahead()
	if !dangerous {
		return nil
	}
	s, ds, err := r.graph(ctx)
	if err != nil {
		return err
	}
	next := s.after(step)
	patient := st.Steps[st.Done].Action == Wait && r.cfg.Now().Sub(st.Since) < r.cfg.Patience
	for _, d := range ds {
		if slices.Contains(st.Accepted, d.Name) {
			continue
		}
		before, _ := s.Fate(d)
		after, why := next.Fate(d)
		switch {
		case after > before:
			st.Needed++
			st.Waits = append(st.Waits, Victim{d.Name, after, why})
		case patient && step.Action == Activate && r.awake(s, d) && next.behind(d, d.Held, step.Members):
			st.Waits = append(st.Waits, Victim{d.Name, Fine, "has not fetched the list that names " + join(step.IDs)})
		}
	}
	st.Waiting = len(st.Waits)
	if st.Waiting > st.Needed {
		st.GoesOn = st.Since.Add(r.cfg.Patience)
	}
	slices.SortStableFunc(st.Waits, func(a, b Victim) int { return int(b.Fate) - int(a.Fate) })
	st.Waits = st.Waits[:min(len(st.Waits), waitsShown)]
	return nil
}

func (r *Runner) awake(s State, d Device) bool {
	return !d.LastSeen.IsZero() && s.Time.Sub(d.LastSeen) < r.cfg.Asleep
}

// do does a step.
func (r *Runner) do(ctx context.Context, st Step) error {
	switch st.Action {
	case Wait:
		return nil
	case Publish:
		return r.cfg.Site.Publish(ctx)
	case Replace: // member by member: the roots come first, and issue the rest
		for _, member := range st.Members {
			one := Step{Action: Replace, Members: []string{member}, IDs: st.IDs}
			for _, a := range []Action{Stage, Activate, Retire} {
				if err := r.each(ctx, a, one); err != nil {
					return err
				}
			}
		}
		return r.cfg.Site.Publish(ctx)
	}
	return r.each(ctx, st.Action, st)
}

// each does an action on every member of a step that this node runs, and finds out about the others.
func (r *Runner) each(ctx context.Context, a Action, st Step) error {
	var errs []error
	var elsewhere []ID
	for _, member := range st.Members {
		n := st.generation(member)
		var err error
		switch a {
		case Stage:
			err = r.stage(ctx, member, n)
		case Activate:
			err = r.cfg.Site.Activate(ctx, member, n)
		case Retire:
			if st.Action == Retire { // its IDs are those that go
				n++
			}
			err = r.cfg.Site.Retire(ctx, member, n)
		}
		if errors.Is(err, ErrElsewhere) {
			elsewhere, err = append(elsewhere, NewID(member, n)), nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", member, err))
		}
	}
	if len(errs) > 0 || elsewhere == nil {
		return errors.Join(errs...)
	}
	return r.doneElsewhere(ctx, a, st, elsewhere)
}

// generation is the newest generation of a member that a step is about.
func (s Step) generation(member string) (n int) {
	for _, id := range s.IDs {
		if x := id.Generation(); id == NewID(member, x) {
			n = max(n, x)
		}
	}
	return n
}

// doneElsewhere returns an error that names the members whose nodes have not done their part yet.
func (r *Runner) doneElsewhere(ctx context.Context, a Action, st Step, ids []ID) error {
	s, _, err := r.cfg.Site.Graph(ctx)
	if err != nil {
		return err
	}
	var open []string
	for _, name := range st.Members {
		m, _ := s.Member(name)
		for _, id := range ids {
			if id == NewID(name, id.Generation()) && !m.reached(a, id.Generation()) {
				open = append(open, name)
			}
		}
	}
	if open == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrElsewhere, join(open))
}

// reached reports whether an action on a member is done.
func (m Member) reached(a Action, n int) bool {
	active, _ := m.Active()
	switch a {
	case Stage:
		return m.next() > n
	case Activate:
		return active.Number >= n
	}
	return !slices.ContainsFunc(m.Generations, func(g Generation) bool { return g.Number < n })
}

// stage makes a generation unless the member is past it: another node may have done more than this one knows.
func (r *Runner) stage(ctx context.Context, member string, generation int) error {
	s, _, err := r.cfg.Site.Graph(ctx)
	if err != nil {
		return err
	}
	m, _ := s.Member(member)
	if g, ok := m.Active(); ok && g.Number >= generation {
		return nil
	}
	return r.cfg.Site.Stage(ctx, member, generation)
}

// Status tells how far the present or last run is, and for whom it waits now.
func (r *Runner) Status(ctx context.Context) (Status, error) {
	st, _, err := r.run(ctx)
	if err != nil || !st.Running() {
		return st, err
	}
	return st, r.wait(ctx, &st)
}

// Accept names further devices that the present run may strand.
func (r *Runner) Accept(ctx context.Context, devices []string) (Status, error) {
	for {
		st, revision, err := r.run(ctx)
		switch {
		case err != nil:
			return st, err
		case !st.Running():
			return st, unknown("no rotation is under way, so nobody has to be given up")
		}
		st.Accepted = normal(append(st.Accepted, devices...))
		_, err = r.cfg.Documents.Put(ctx, keyRun, st, revision)
		if !errors.Is(err, store.ErrConflict) {
			return st, err
		}
	}
}

// Told records that a peer's operator has installed certificates.
func (r *Runner) Told(ctx context.Context, peer string, ids []ID) error {
	s, ds, err := r.graph(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(ds, func(d Device) bool { return d.Peer && d.Name == peer })
	if at < 0 {
		return fmt.Errorf("there is no peer %q that verifies us: %w", peer, fs.ErrNotExist)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(s.Members, func(m Member) bool {
			return slices.ContainsFunc(m.Generations, func(g Generation) bool { return g.ID == id })
		}) {
			return fmt.Errorf("there is no certificate %q here: %w", id, fs.ErrNotExist)
		}
	}
	for {
		told := make(map[string][]ID)
		revision, err := r.read(ctx, keyTold, &told)
		if err != nil {
			return err
		}
		told[peer] = normal(append(told[peer], ids...))
		_, err = r.cfg.Documents.Put(ctx, keyTold, told, revision)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
