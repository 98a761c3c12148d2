package interpreter

import (
	"context"

	_ "github.com/dop251/goja" // ECMAScript
)

// Run runs one session from its first document to its end. It returns when the session has ended; it never panics. What the documents left in
// the prompt queue has been played by then. Cancelling ctx ends the session at once, without handlers (a caller who hangs up is no reason
// for that: Outcome.Hangup).
func Run(ctx context.Context, start Start, platform Platform) Result {
	return Result{End: Failed, Event: "error.unsupported", Error: "the interpreter does not run documents yet"}
}
