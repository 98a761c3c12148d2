package call_test

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
)

var _ = call.SetTestFork(live.CopyEngine)
