package live

import (
	"context"
	"errors"

	"github.com/locktone/locktone/call"
)

// mostCopied is how many calls an engine may have to be copied: it is held meanwhile, 5 to 6 microseconds of a processor for a call
// (BenchmarkClone of package call), which is a twentieth of a second at this bound.
const mostCopied = 10000

// ErrTooMany says that there are more calls than a copy may hold up.
var ErrTooMany = errors.New("live: too many calls for a copy of the engine: all of them would have to wait for it")

// Copy is a copy of the engine as it is now, the caller's own: what is done to it happens to nobody.
func (h *Host) Copy(ctx context.Context) (*call.Engine, error) {
	if h.Stats().Calls > mostCopied {
		return nil, ErrTooMany
	}
	c := make(chan *call.Engine, 1)
	if err := h.post(entry{clone: c}); err != nil {
		return nil, err
	}
	return await(ctx, h, c)
}
