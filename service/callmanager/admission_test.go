package callmanager

import (
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
)

// TestProtocolOfADevice: a device configured for SCCP is not let in over SIP, however it comes.
func TestProtocolOfADevice(t *testing.T) {
	d := &directory.Device{Device: config.Device{Name: "SEP001122334466", Protocol: config.ProtocolSCCP}}
	if r := admits(d, nil); r == nil || r.status != 403 || !strings.Contains(r.why, "configured for SCCP") {
		t.Errorf("%+v", r)
	}
}
