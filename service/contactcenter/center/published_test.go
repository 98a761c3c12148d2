package center

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// TestPublished: docs/agent-states.md and its picture are the table.
func TestPublished(t *testing.T) {
	for file, want := range map[string]string{"../../../docs/agent-states.md": statesPage(), "../../../docs/agent-states.svg": statesPicture()} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s is not what the table says (go test ./service/contactcenter/center -update writes it): %v", file, err)
		}
	}
}

// stateTexts say what each state is.
var stateTexts = [states]string{
	"not there", "logged in and gets no contacts; the reason says why", "waits for a contact", "an offer lives: the phone rings, or is about to", "with a contact",
	"with a contact that is on hold", "wraps up after a contact",
}

// choiceTexts say what the choices depend on.
var choiceTexts = []struct {
	to   target
	text string
}{
	{toRest, "what the agent last asked for (logged out, or not ready with the reason given then); else not ready when the phone is not registered (`" + ReasonDeviceLost +
		"`), the desktop is away (`" + ReasonSessionLost + "`) or the phone is on another call (`" + ReasonPhoneBusy + "`); else ready"},
	{toAfterCall, "work where the team wraps up and the agent has not asked to be logged out, else *rest*"},
	{toUnheard, "logged out when the agent has asked for that; else not ready: `" + ReasonNoAnswer + "`, `" + ReasonUnreachable + "`, or `" + ReasonPhoneBusy + "` where another call was the cause"},
	{toResume, "*rest* when the agent is not ready for no other reason than `" + ReasonPhoneBusy + "`, else the same"},
	{toRestored, "after a new life of the contact centre: *after call* for who was with a contact of which no call server has told, *rest* for who was ready or reserved"},
}

func targetName(t target) string {
	if text, ok := targetTexts[t]; ok {
		return "*" + text + "*"
	}
	return State(t - toLoggedOut).String()
}

func cellText(x transition) string {
	switch {
	case x.do == doRefuse:
		return "refused"
	case x == transition{}:
		return ""
	case x.to == toSame:
		return actionTexts[x.do]
	case x.do == doNothing:
		return targetName(x.to)
	}
	return targetName(x.to) + "; " + actionTexts[x.do]
}

func statesPage() string {
	var b strings.Builder
	b.WriteString(`# States of agents

This page is written by a test from the one table that the contact centre itself runs on
([transitions.go](../service/contactcenter/center/transitions.go)); it cannot say anything else than the code does.

![The states of an agent](agent-states.svg)

| state | an agent is |
|---|---|
`)
	for s, text := range stateTexts {
		fmt.Fprintf(&b, "| %s | %s |\n", State(s), text)
	}
	b.WriteString("\n## What leads where\n\nAn empty cell changes nothing: a request is granted (it is so already), a fact is remembered for *rest*.\n\n| |")
	for s := range states {
		fmt.Fprintf(&b, " %s |", s)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", int(states)) + "\n")
	table := transitions()
	for s := range stimuli {
		fmt.Fprintf(&b, "| **%s** |", s)
		for st := range states {
			fmt.Fprintf(&b, " %s |", cellText(table[st][s]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| input | when |\n|---|---|\n")
	for s := range stimuli {
		fmt.Fprintf(&b, "| %s | %s |\n", s, stimulusTexts[s][1])
	}
	b.WriteString("\n## Choices\n\n| choice | leads to |\n|---|---|\n")
	for _, c := range choiceTexts {
		fmt.Fprintf(&b, "| %s | %s |\n", targetName(c.to), c.text)
	}
	b.WriteString(`
"Ready afterwards", "not ready afterwards" and "logged out afterwards" are kept until the agent is free. An agent is reserved with "ready
afterwards" set (of a team with ` + "`notReadyAfter`" + ` with "not ready afterwards"), one who was not ready when a contact was adopted goes back to that.
Nobody can be made ready whose phone is not registered. A supervisor may do so only to agents of a team of their own.

## What always holds

Checked after every step of every test, over interleavings of small sites (breadth first, up to a bound) and on random walks with failures
(` + "`LOCKTONE_WALKS=20000 go test ./service/contactcenter/center`" + `, ` + "`LOCKTONE_ALL=1`" + ` for a far larger bound):

- An agent is reserved exactly as long as an offer lives: with a contact that knows it, and a running timer.
- A contact that waits is in exactly one queue; one that is offered is in none.
- Who is talking or on hold is so with a contact that is there. When its call has ended, or is gone with its node, the agent is free in the same step.
- Nobody is ready while a contact waits that they could take.
- What only time ends has a timer; after everything that failed is mended, every agent can become ready and no call is left.
`)
	return b.String()
}

// spots are where the states stand in the picture.
var spots = [states][2]float64{{110, 330}, {330, 330}, {560, 120}, {800, 120}, {1040, 120}, {1040, 330}, {800, 540}}

// choiceSpots are where the choices stand.
var choiceSpots = map[target][2]float64{toRest: {560, 430}, toAfterCall: {930, 430}, toUnheard: {560, 250}, toResume: {200, 540}, toRestored: {400, 560}}

func statesPicture() string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1180 660" font-family="sans-serif" font-size="11">
<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 10 5 0 10z" fill="#456"/></marker></defs>
<rect width="1180" height="660" fill="#fff"/>
`)
	type edge struct {
		from State
		to   target
	}
	labels, order := map[edge][]string{}, []edge{}
	for st, row := range transitions() {
		for s, x := range row {
			e := edge{State(st), x.to}
			if x.to == toSame || x.to == toLoggedOut+target(st) {
				continue
			}
			if labels[e] == nil {
				order = append(order, e)
			}
			labels[e] = append(labels[e], stimulus(s).String())
		}
	}
	for _, e := range order {
		to, ok := choiceSpots[e.to]
		if !ok {
			to = spots[e.to-toLoggedOut]
		}
		arrow(&b, spots[e.from], to, labels[e])
	}
	for s, p := range spots {
		fmt.Fprintf(&b, `<rect x="%.0f" y="%.0f" width="100" height="36" rx="8" fill="#e8f0ff" stroke="#346"/><text x="%.0f" y="%.0f" text-anchor="middle" font-size="14" font-weight="bold">%s</text>`+"\n",
			p[0]-50, p[1]-18, p[0], p[1]+5, State(s))
	}
	for _, c := range choiceTexts {
		p := choiceSpots[c.to]
		fmt.Fprintf(&b, `<path d="M%.0f %.0f l46 22 l-46 22 l-46 -22 z" fill="#fff4d8" stroke="#a80"/><text x="%.0f" y="%.0f" text-anchor="middle" font-style="italic">%s</text>`+"\n",
			p[0], p[1]-22, p[0], p[1]+4, targetTexts[c.to])
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// arrow draws a bent arrow, so that two in opposite directions stay apart, with its labels at its middle.
func arrow(b *strings.Builder, from, to [2]float64, labels []string) {
	dx, dy := to[0]-from[0], to[1]-from[1]
	length := math.Hypot(dx, dy)
	bend := 26.0
	mx, my := (from[0]+to[0])/2-dy/length*bend, (from[1]+to[1])/2+dx/length*bend
	cut := func(p [2]float64, x, y float64) (float64, float64) { // the border of a box around p towards x, y
		ux, uy := x-p[0], y-p[1]
		k := math.Min(54/math.Max(math.Abs(ux), 1), 22/math.Max(math.Abs(uy), 1))
		return p[0] + ux*k, p[1] + uy*k
	}
	x1, y1 := cut(from, mx, my)
	x2, y2 := cut(to, mx, my)
	fmt.Fprintf(b, `<path d="M%.0f %.0f Q%.0f %.0f %.0f %.0f" fill="none" stroke="#456" marker-end="url(#a)"/>`+"\n", x1, y1, mx, my, x2, y2)
	lx, ly := (x1+2*mx+x2)/4, (y1+2*my+y2)/4-6*float64(len(labels)-1)
	for i, l := range labels {
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle" stroke="#fff" stroke-width="3" paint-order="stroke">%s</text>`+"\n", lx, ly+12*float64(i), l)
	}
}
