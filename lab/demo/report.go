package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Leg is the evidence about one leg of a call: one phone and the call manager.
type Leg struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Protocol string   `json:"protocol"`
	TLS      string   `json:"tls"`      // version, as the phone's handshake ended
	Cipher   string   `json:"cipher"`   // of TLS
	Peer     string   `json:"peer"`     // subject of the certificate the phone verified
	Chain    []string `json:"chain"`    // its chain, leaf to root
	Client   string   `json:"client"`   // subject of the certificate the call manager verified
	Verified bool     `json:"verified"` // each end verified the other
	SRTP     string   `json:"srtp"`     // suite in force at the phone
	// RxAuthenticated are the packets this phone authenticated, TxAuthenticated those of its packets that the far phone did.
	RxAuthenticated uint64  `json:"rx_authenticated"`
	TxAuthenticated uint64  `json:"tx_authenticated"`
	RxRefused       uint64  `json:"rx_refused"` // packets the phone dropped: plain, forged, replayed
	ToneHz          float64 `json:"tone_hz"`    // frequency this phone heard
	Expected        float64 `json:"tone_expected_hz"`
	Listed          bool    `json:"listed,omitempty"` // the phone verified the call manager by its trust list, which names the certificate itself
}

// A Serial is what somebody presented before and after a rotation: serial numbers in hex.
type Serial struct {
	Who    string `json:"who"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// A Step is one thing the scenario did, and whether it was seen to work.
type Step struct {
	Name   string `json:"name"`
	Proven bool   `json:"proven"`
	Detail string `json:"detail,omitempty"`
}

// A Stage is one line of the trace that shows a stage of a login.
type Stage struct {
	Name string `json:"name"`
	Said string `json:"said"`
}

// A Report is what a scenario found.
type Report struct {
	Proven bool   `json:"proven"`
	Claim  string `json:"claim"`
	Legs   []Leg  `json:"legs"`
	Steps  []Step `json:"steps"`
	// Questions are those of the document that the scenario plays.
	Questions []Question `json:"questions,omitempty"`
	Serials   []Serial   `json:"serials,omitempty"`
	Stages    []Stage    `json:"stages,omitempty"`
	// Said is what commands said on the way, and Capture the file with the signalling.
	Said    []Said   `json:"said,omitempty"`
	Capture string   `json:"capture,omitempty"`
	Missing []string `json:"missing,omitempty"` // each claim that is not proven, one sentence
	Ladder  string   `json:"ladder,omitempty"`
	Seconds float64  `json:"seconds"`
}

// judge decides what is proven.
func (r *Report) judge() {
	r.Missing = nil
	miss := func(format string, args ...any) { r.Missing = append(r.Missing, fmt.Sprintf(format, args...)) }
	if len(r.Legs) == 0 {
		miss("there is no leg to prove anything of")
	}
	for _, l := range r.Legs {
		name := l.From + " - " + l.To
		if l.TLS != "TLS 1.2" && l.TLS != "TLS 1.3" {
			miss("%s: the signalling was not TLS 1.2 or 1.3 (%q)", name, l.TLS)
		}
		if !l.Verified || l.Peer == "" || l.Client == "" || len(l.Chain) < 2 && !l.Listed {
			miss("%s: the two ends did not verify each other's certificate chain", name)
		}
		if l.SRTP == "" {
			miss("%s: no SRTP suite was in force", name)
		}
		if l.RxAuthenticated == 0 {
			miss("%s: no packet was authenticated by the phone", name)
		}
		if l.TxAuthenticated == 0 {
			miss("%s: no packet of the phone was authenticated at the far end", name)
		}
		if l.Expected == 0 || l.ToneHz < l.Expected*0.98 || l.ToneHz > l.Expected*1.02 {
			miss("%s: the phone heard %.0f Hz, not the %.0f Hz that were sent", name, l.ToneHz, l.Expected)
		}
	}
	for _, s := range r.Steps {
		if !s.Proven {
			miss("%s: %s", s.Name, s.Detail)
		}
	}
	for _, q := range r.Questions {
		if !q.Proven {
			miss("%s %s", q.Asked, q.Measured)
		}
	}
	r.Proven = len(r.Missing) == 0
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// WriteText writes the report for people: ladder, steps, table, verdict.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if r.Ladder != "" {
		b.WriteString(r.Ladder + "\n")
	}
	for _, said := range r.Said {
		fmt.Fprintf(&b, "%s, %s:\n\n%s\n", said.Command, said.When, indented(said.Text))
	}
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "  %s %-42s %s\n", mark(s.Proven), s.Name, s.Detail)
	}
	r.questions(&b)
	b.WriteString("\n")
	if len(r.Legs) > 0 {
		if err := r.table(&b); err != nil {
			return err
		}
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "  not proven: %s\n", m)
	}
	r.serials(&b)
	r.stages(&b)
	verdict := "PROVEN: " + r.Claim
	if !r.Proven {
		verdict = "NOT PROVEN"
	}
	fmt.Fprintf(&b, "%s (%.1f s)\n", verdict, r.Seconds)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) sortSerials() {
	slices.SortFunc(r.Serials, func(a, b Serial) int { return strings.Compare(a.Who, b.Who) })
}

// serials writes what was presented before and after.
func (r *Report) serials(b *strings.Builder) {
	if len(r.Serials) == 0 {
		return
	}
	b.WriteString("Serial numbers before and after:\n\n")
	t := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	for _, s := range r.Serials {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Who, short(s.Before), short(s.After))
	}
	_ = t.Flush() // into memory
	b.WriteString("\n")
}

// indented is a text two columns to the right.
func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// questions writes the document's questions with what was measured.
func (r *Report) questions(b *strings.Builder) {
	if len(r.Questions) == 0 {
		return
	}
	b.WriteString("\nWhat the document asks, and what was measured:\n\n")
	for _, q := range r.Questions {
		fmt.Fprintf(b, "  %s %s\n      %s\n", mark(q.Proven), q.Asked, q.Measured)
	}
}

// stages writes the stages of the login with what the trace says of each.
func (r *Report) stages(b *strings.Builder) {
	if len(r.Stages) == 0 {
		return
	}
	b.WriteString("Stages of the login, and what the trace says:\n\n")
	for _, s := range r.Stages {
		fmt.Fprintf(b, "  %-38s %s\n", s.Name, cut(s.Said, 150))
	}
	b.WriteString("\n")
}

// cut is the beginning of a line, where all of it is too long to be read.
func cut(line string, n int) string {
	if r := []rune(line); len(r) > n {
		return string(r[:n]) + "..."
	}
	return line
}

// short is the beginning of a serial number, which tells two apart.
func short(serial string) string {
	if len(serial) > 16 {
		return serial[:16] + "..."
	}
	return serial
}

// table writes a column for each leg.
func (r *Report) table(b *strings.Builder) error {
	b.WriteString("Evidence, from the receiving ends:\n\n")
	t := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	row := func(name string, value func(Leg) string) {
		fmt.Fprintf(t, "  %s", name)
		for _, l := range r.Legs {
			fmt.Fprintf(t, "\t%s", value(l))
		}
		fmt.Fprintln(t)
	}
	row("leg", func(l Leg) string { return l.From + " - " + l.To })
	row("signalling", func(l Leg) string { return l.Protocol + " over " + l.TLS })
	row("cipher", func(l Leg) string { return l.Cipher })
	row("its end verified", func(l Leg) string { return l.Peer })
	row("chain", func(l Leg) string { return strings.Join(l.Chain[min(1, len(l.Chain)):], " < ") })
	row("the other end verified", func(l Leg) string { return l.Client })
	row("media", func(l Leg) string { return l.SRTP })
	row("authenticated received", func(l Leg) string { return fmt.Sprint(l.RxAuthenticated, " packets") })
	row("authenticated at far end", func(l Leg) string { return fmt.Sprint(l.TxAuthenticated, " packets") })
	row("refused", func(l Leg) string { return fmt.Sprint(l.RxRefused, " packets") })
	row("tone heard", func(l Leg) string { return fmt.Sprintf("%.0f Hz (sent: %.0f)", l.ToneHz, l.Expected) })
	if err := t.Flush(); err != nil {
		return err
	}
	b.WriteString("\n")
	return nil
}

func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}
