package callmanager

import (
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
)

// TestMediaConversion: calls between SRTP and RTP are refused unless the cluster says otherwise, and then that is shown.
func TestMediaConversion(t *testing.T) {
	for _, c := range []struct {
		setting config.MediaConversion
		allowed bool
		rows    int
	}{{config.ConversionRefused, false, 0}, {config.ConversionAllowed, true, 1}} {
		site := config.Default("n1")
		site.Cluster.MediaConversion = c.setting
		st := newSite(1, site)
		if got := compile(st).Policy.Mixed; (got == call.MixedAnchor) != c.allowed {
			t.Errorf("%s: the engine's policy says %v", c.setting, got)
		}
		rows := exceptions("n1", st)
		if len(rows) != c.rows {
			t.Fatalf("%s: exceptions %+v", c.setting, rows)
		}
		if c.rows == 1 && (rows[0].Kind != "cluster" || rows[0].Setting != "mediaConversion" || rows[0].Value != "allowed" || rows[0].Default != "refused" || rows[0].Risk == "") {
			t.Errorf("row %+v", rows[0])
		}
	}
}
