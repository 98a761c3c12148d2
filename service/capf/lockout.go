package capf

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/pki/capfprofile"
)

// lockouts are the profiles that were found locked: what the status tells as long as it lasts. The profiles themselves
// decide; this only spares the status from reading all of them.
type lockouts struct {
	mu     sync.Mutex
	owners map[string]capfprofile.Owner
}

// lockoutsTold is how many locked profiles the status names.
const lockoutsTold = 5

func (l *lockouts) add(o capfprofile.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners == nil {
		l.owners = map[string]capfprofile.Owner{}
	}
	l.owners[o.String()] = o
}

// found adds what a look through all profiles found, on this node or another, before or after a restart.
func (l *lockouts) found(all []capfprofile.Owner) {
	for _, o := range all {
		l.add(o)
	}
}

// sentence tells of the profiles that are locked now, and what to do; empty when there is none.
func (l *lockouts) sentence(ctx context.Context, b *capfprofile.Book, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var told []string
	for _, name := range slices.Sorted(maps.Keys(l.owners)) {
		if len(told) == lockoutsTold {
			break
		}
		p, err := b.Get(ctx, l.owners[name])
		if err != nil || !p.Locked(now) {
			delete(l.owners, name)
			continue
		}
		told = append(told, name+" until "+p.LockedUntil.UTC().Format(time.RFC3339))
	}
	if told == nil {
		return ""
	}
	more := ""
	if n := len(l.owners) - len(told); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "locked after too many wrong authorization strings: " + strings.Join(told, ", ") + more +
		"; somebody guesses, or holds an old string: locktone capf profile show says from where, reset lifts the lock-out"
}
