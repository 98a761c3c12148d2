package rotation

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/locktone/locktone/pki"
)

// Chain is a certificate chain to be asked about at later times: one of ours, or one a peer showed.
type Chain struct {
	Name    string              // "callmanager-g1, server, ECDSA-P256", "vm-a, as client: vm-a.example"
	Holder  string              // who has to renew it: "this site", a device, a peer
	Chain   []*x509.Certificate // as presented, leaf first
	Side    pki.Side            // of whoever presents it
	Policy  pki.PeerPolicy      // of whoever verifies it
	Trust   *pki.Trust          // of whoever verifies it; nil: Input.Trust
	Foreign bool                // issued by somebody else
	// Renews is when it is renewed by itself (Runner.Renew); zero: by nobody. What is not overdue is told as a change.
	Renews time.Time
}

// Input is what a forecast looks at.
type Input struct {
	Now, Until time.Time
	Trust      *pki.Trust
	Chains     []Chain
	// Entries are certificates of which the register knows everything but the bytes: their end is told.
	Entries []pki.Entry
	// Alone are certificates that are trusted as they are and not by a chain (list signers, the roots themselves): of them
	// the end and the sunsets are told.
	Alone   []Chain
	Sunsets []Sunset // nil: Sunsets()
}

// Break is one thing that stops working, or gets weaker.
type Break struct {
	At       time.Time    `json:"at"` // the first second in which it is so; Input.Now when it is so already
	Already  bool         `json:"already,omitempty"`
	Name     string       `json:"name"`
	Holder   string       `json:"holder"`
	Rule     pki.Rule     `json:"rule"`
	Severity pki.Severity `json:"severity"` // refusal: it stops; warning: it weakens; note: it changes
	Subject  string       `json:"subject,omitempty"`
	What     string       `json:"what"` // predicate, as in a pki.Finding
	Fix      string       `json:"fix,omitempty"`
	Source   string       `json:"source,omitempty"` // of a sunset
}

// Forecast returns what breaks until in.Until, earliest first: for every chain the first moment from which the verifier
// refuses it, found by asking it, and what the sunsets mean for it.
func Forecast(in Input) []Break {
	if in.Sunsets == nil {
		in.Sunsets = Sunsets()
	}
	breaks := []Break{}
	for _, c := range in.Chains {
		if b, ok := in.refused(c); ok {
			breaks = append(breaks, in.renewing(c, b))
		}
		breaks = append(breaks, in.sunset(c)...)
	}
	for _, c := range in.Alone {
		if b, ok := in.ended(c.Chain[0].NotAfter, Break{Name: c.Name, Holder: c.Holder, Subject: c.Chain[0].Subject.String()}); ok {
			breaks = append(breaks, in.renewing(c, b))
		}
		breaks = append(breaks, in.sunset(c)...)
	}
	for _, e := range in.Entries {
		if b, ok := in.ended(e.NotAfter, Break{Name: fmt.Sprintf("%s %s", e.Kind, e.Name), Holder: e.Name, Subject: e.Subject}); ok && e.Revoked.IsZero() {
			c := Chain{}
			if e.Kind == pki.KindService { // of a node that is told of by the register alone, as administration is
				c.Renews = e.NotBefore.Add(e.NotAfter.Sub(e.NotBefore) / 3 * 2)
			}
			b.Fix = howToRenew(e, b.Already)
			breaks = append(breaks, in.renewing(c, b))
		}
	}
	slices.SortStableFunc(breaks, func(a, b Break) int {
		return cmp.Or(a.At.Compare(b.At), int(b.Severity)-int(a.Severity), cmp.Compare(a.Name, b.Name))
	})
	return breaks
}

// howToRenew says how a certificate of the register is renewed. One that has ended authenticates nobody any more, not even
// to CAPF.
func howToRenew(e pki.Entry, ended bool) string {
	itself, fix := "", ""
	switch e.Kind {
	case pki.KindDevice:
		itself, fix = "a device that speaks CAPF renews it by itself; else ", "locktone capf profile create --device "+e.Name+", or locktone cert issue "+e.Name
	case pki.KindCTI:
		itself, fix = "locktone phone enroll --renew renews it by itself; else ", "locktone capf profile create for instance id "+e.Name
	case pki.KindPeer:
		fix = "locktone cert issue --kind peer " + e.Name + ", and install it there"
	default:
		return "renew it"
	}
	if ended {
		return fix
	}
	return itself + fix
}

// Breaking counts what stops working.
func Breaking(breaks []Break) (n int) {
	for _, b := range breaks {
		if b.Severity == pki.Refusal {
			n++
		}
	}
	return n
}

// ended is the break of a certificate of which only the end matters.
func (in Input) ended(at time.Time, b Break) (Break, bool) {
	b.At, b.Already = at.Add(time.Second), at.Before(in.Now)
	b.Rule, b.Severity, b.Fix = pki.RuleExpired, pki.Refusal, "renew it"
	b.What = "expires on " + at.UTC().Format("2006-01-02")
	if b.Already {
		b.At, b.What = in.Now, "expired on "+at.UTC().Format("2006-01-02")
	}
	return b, !at.After(in.Until)
}

// renewing makes a change of an end that will not be lived to see.
func (in Input) renewing(c Chain, b Break) Break {
	switch {
	case c.Renews.IsZero() || b.Rule != pki.RuleExpired || b.Already:
	case in.Now.Before(c.Renews):
		b.Severity, b.Fix = pki.Note, "nothing: it is renewed by itself from "+c.Renews.UTC().Format("2006-01-02")+" on"
	default:
		b.Fix = "its renewal is overdue since " + c.Renews.UTC().Format("2006-01-02") + ": see locktone trust status"
	}
	return b
}

// sunset is what the table says about a chain until the end of the forecast.
func (in Input) sunset(c Chain) (breaks []Break) {
	for _, s := range in.Sunsets {
		b, ok := s.on(c)
		if !ok || b.At.After(in.Until) {
			continue
		}
		if b.At.Before(in.Now) {
			b.At, b.Already = in.Now, true
		}
		if n := len(breaks) - 1; s.Topic == Lifetime && n >= 0 && breaks[n].Rule == b.Rule && breaks[n].At.Equal(b.At) {
			breaks[n] = b // the same renewal under a later, stricter limit
			continue
		}
		breaks = append(breaks, b)
	}
	return breaks
}

// verify asks the verifier about a chain at a time.
func (in Input) verify(c Chain, at time.Time) *pki.Report {
	trust := c.Trust
	if trust == nil {
		trust = in.Trust
	}
	return trust.Verify(c.Chain, c.Side, c.Policy, at)
}

// refused finds the first second in which the verifier refuses a chain. What it says can only change at an event: when a
// certificate of the chain or an anchor begins or ends. So it is asked once behind every event, and then by bisection
// between the last time it said yes and the first time it said no.
func (in Input) refused(c Chain) (Break, bool) {
	last := in.Now
	for _, at := range in.events(c) {
		r := in.verify(c, at)
		if r.OK() {
			last = at
			continue
		}
		if at.Equal(in.Now) {
			return in.broken(c, r, at, true), true
		}
		span := int(at.Sub(last) / time.Second)
		first := last.Add(time.Duration(1+sort.Search(span-1, func(n int) bool { return !in.verify(c, last.Add(time.Duration(n+1)*time.Second)).OK() })) * time.Second)
		return in.broken(c, in.verify(c, first), first, false), true
	}
	return Break{}, false
}

// events are the times to ask at, in order, beginning with now: a second behind each beginning and end.
func (in Input) events(c Chain) []time.Time {
	times := []time.Time{in.Now, in.Until}
	add := func(x *x509.Certificate) { times = append(times, x.NotBefore, x.NotAfter.Add(time.Second)) }
	for _, x := range c.Chain {
		add(x)
	}
	trust := c.Trust
	if trust == nil {
		trust = in.Trust
	}
	for _, a := range trust.Anchors() {
		add(a.Certificate)
	}
	times = slices.DeleteFunc(times, func(t time.Time) bool { return t.Before(in.Now) || t.After(in.Until) })
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}

// broken tells why the verifier refuses.
func (in Input) broken(c Chain, r *pki.Report, at time.Time, already bool) Break {
	f, _ := r.Findings.First()
	b := Break{At: at, Already: already, Name: c.Name, Holder: c.Holder, Rule: f.Rule, Severity: pki.Refusal, Subject: f.Subject, What: f.What, Fix: f.Fix}
	switch { // the finding counts from its own time: "expired 0 minutes ago"
	case f.Rule != pki.RuleExpired || already:
	case f.Index == 0:
		b.What = "presents a certificate that expires: " + f.Subject
	default:
		b.What = "presents a certificate whose issuer expires: " + f.Subject
	}
	return b
}

// WriteForecast prints a forecast for a terminal; looked is how many certificates and chains were asked about.
func WriteForecast(w io.Writer, until time.Time, looked int, breaks []Break) error {
	out := &printer{w: w}
	counts := [3]int{}
	for _, b := range breaks {
		counts[min(b.Severity, pki.Refusal)]++
	}
	out.f("%s certificates and chains until %s: ", grouped(looked), until.UTC().Format("2006-01-02"))
	if len(breaks) == 0 {
		out.f("nothing breaks.\n")
		return out.err
	}
	out.f("%d break, %d get weaker, %d change\n\n", counts[pki.Refusal], counts[pki.Warning], counts[pki.Note])
	for _, b := range breaks {
		when := b.At.UTC().Format("2006-01-02 15:04")
		if b.Already {
			when = "already"
		}
		out.f("%-16s  %-8s %s\n", when, mark(b.Severity), b.Name)
		out.f("%27s%s (%s)\n", "", sentence(b.What), b.Rule)
		if b.Fix != "" {
			out.f("%27sfix: %s\n", "", b.Fix)
		}
		if b.Source != "" {
			out.f("%27ssource: %s\n", "", b.Source)
		}
	}
	return out.err
}

func mark(s pki.Severity) string {
	switch s {
	case pki.Refusal:
		return "BREAKS"
	case pki.Warning:
		return "weakens"
	}
	return "changes"
}

// sentence makes a predicate stand alone.
func sentence(what string) string {
	if what == "" {
		return what
	}
	return strings.ToUpper(what[:1]) + what[1:]
}
