package main

import (
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/border/snippet"
)

// TestBorderPart: a configuration is taken apart and put together without a loss, whatever secrets stand in the rest.
func TestBorderPart(t *testing.T) {
	text := "cluster:\n  name: x\nnodes:\n  - name: node1\nusers:\n  - name: anna\n    password: \"[redacted]\"\ndialPeers:\n  - tag: 6000\n    destinationPatterns: ['6...']\ntrustpoints:\n  - name: a\nlines: []\n"
	current, rest, err := borderPart(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(current.DialPeers) != 1 || len(current.Trustpoints) != 1 || strings.Contains(rest, "dialPeers") || !strings.Contains(rest, "[redacted]") || !strings.Contains(rest, "lines: []") {
		t.Errorf("%+v\n%s", current, rest)
	}
	out := snippet.Read("dial-peer voice 6000 voip\nsession target ipv4:127.0.1.20:5061\nsession transport tcp tls\n", current).Site
	out.Nodes = nil
	whole := strings.Replace(rest, `"[redacted]"`, "long-enough-1", 1) + string(config.Format(out, false))
	s, err := config.Parse("x", []byte(whole), nil)
	if err != nil || len(s.DialPeers) != 1 || s.DialPeers[0].Transport != config.TransportTLS || s.DialPeers[0].DestinationPatterns[0] != "6..." {
		t.Errorf("%v\n%s", err, whole)
	}
}
