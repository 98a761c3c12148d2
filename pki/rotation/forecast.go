package rotation

import (
	"crypto/x509"
	"time"

	"github.com/locktone/locktone/pki"
)

// Chain is a certificate chain to be asked about at later times: one of ours, or one a peer showed.
type Chain struct {
	Name    string              // "callmanager, server, ECDSA", "trunk vm-a"
	Holder  string              // who has to renew it: "us", a device, a peer
	Chain   []*x509.Certificate // as presented, leaf first
	Side    pki.Side            // of whoever presents it
	Policy  pki.PeerPolicy      // of whoever verifies it
	Trust   *pki.Trust          // nil: Input.Trust
	Foreign bool                // by a CA that is not ours
}

// Input is what a forecast looks at.
type Input struct {
	Now, Until time.Time
	Trust      *pki.Trust
	Chains     []Chain
	Sunsets    []Sunset // nil: Sunsets()
}

// Break is one thing that will stop working.
type Break struct {
	At       time.Time    `json:"at"` // the first second in which it is refused
	Name     string       `json:"name"`
	Holder   string       `json:"holder"`
	Rule     pki.Rule     `json:"rule"`
	Severity pki.Severity `json:"severity"` // Refusal, or Warning: it will weaken
	What     string       `json:"what"`     // a sentence
	Fix      string       `json:"fix,omitempty"`
	Subject  string       `json:"subject,omitempty"` // of the certificate that decides
	Source   string       `json:"source,omitempty"`  // of a sunset
}

// Forecast returns what breaks until in.Until, earliest first.
func Forecast(in Input) []Break { panic("soon") }
