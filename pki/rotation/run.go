package rotation

import (
	"context"
	"time"

	"github.com/locktone/locktone/store"
)

// Site is what a Runner needs of the site. Every method but Graph is idempotent: after a crash the last one is called again.
type Site interface {
	// Graph is the site as it is now: what exists, and what every device holds by the bytes it fetched last.
	Graph(ctx context.Context) (State, []Device, error)
	// Stage makes the member's generation, unless it exists, and lets lists name it; nothing presents it.
	Stage(ctx context.Context, member string, generation int) error
	// Activate puts the staged generation in use: the next handshake presents it, the next list is signed with it, the next
	// certificate is issued from it. Of the roots it also orders the renewal of every LSC under an older one. The former
	// generation becomes Retiring.
	Activate(ctx context.Context, member string, generation int) error
	// Retire forgets every generation of the member below this one and destroys its keys.
	Retire(ctx context.Context, member string, generation int) error
	// Publish builds and signs lists of what exists now, one variant per signer whose key there is. Nothing changed: no new
	// version.
	Publish(ctx context.Context) error
}

// Documents is where a run is written down; *store.Documents is one (collection "rotation").
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	Put(ctx context.Context, key string, value any, ifRevision int64) (int64, error)
}

// Config makes a Runner.
type Config struct {
	Site      Site
	Documents Documents
	Now       func() time.Time // nil: time.Now
	// Patience is how long a gate gives devices that are awake before it goes on without them; default 15 minutes. Devices
	// that would be stranded are waited for without end.
	Patience time.Duration
	// Asleep is how long a device has not been seen to count as asleep; default 1 hour.
	Asleep time.Duration
}

// Runner runs plans. Several nodes may have one over the same documents: a step is taken by whoever writes it down first.
type Runner struct{ cfg Config }

// NewRunner returns a runner.
func NewRunner(cfg Config) (*Runner, error) { panic("soon") }

// Status is how far a run is.
type Status struct {
	Target  Target    `json:"target,omitempty"`
	Order   Order     `json:"order,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	By      string    `json:"by,omitempty"`
	Step    int       `json:"step"` // the number of the step at work; 0: nothing was ever rotated
	Steps   []Step    `json:"steps"`
	Waits   []Victim  `json:"waits,omitempty"` // whom the gate waits for, at most 20, and why
	Waiting int       `json:"waiting"`         // how many
	Needed  int       `json:"needed"`          // of these, without whom it does not go on
	Problem string    `json:"problem,omitempty"`
	Done    bool      `json:"done"`
}

// Begin plans the rotation and writes it down as the one to run. It fails when the plan is refused or another is under way.
func (r *Runner) Begin(ctx context.Context, target Target, o Options, by string) (Status, error) {
	panic("soon")
}

// Advance takes steps until a gate is closed or the run is over. Call it after Begin, at the start of the node, whenever
// holdings change, and now and then. Without a run it does nothing.
func (r *Runner) Advance(ctx context.Context) (Status, error) { panic("soon") }

// Status tells how far the present or last run is.
func (r *Runner) Status(ctx context.Context) (Status, error) { panic("soon") }

// Accept names further devices that the present run may strand.
func (r *Runner) Accept(ctx context.Context, devices []string, by string) (Status, error) {
	panic("soon")
}

// Told records that a peer's operator has installed the certificates.
func (r *Runner) Told(ctx context.Context, peer string, ids []ID) error { panic("soon") }

// Renew begins the rotation of what is past two thirds of its life, unless a run is under way.
func (r *Runner) Renew(ctx context.Context) (Status, error) { panic("soon") }
