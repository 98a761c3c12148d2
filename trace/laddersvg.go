package trace

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The measures of the drawing, in pixels.
const (
	svgLeft   = 118 // the times
	svgRight  = 40
	svgTop    = 132
	svgRow    = 36
	svgChar   = 6.9 // of the labels' monospaced face at 11.5 pixels
	svgMinGap = 170
	svgFoot   = 52
	svgNote   = 20 // a sentence below
)

// palette holds the colours of one scheme. They are written out as rules rather than as custom properties, which
// many viewers besides browsers do not know.
type palette struct {
	back, ink, soft, line, head, own, ownLine        string
	request, success, provisional, redirect, failure string
	lock, clear                                      string
}

var (
	light = palette{
		"#ffffff", "#1d2733", "#5f6e82", "#c9d2dd", "#f2f5f9", "#e4edfb", "#7fa3dd",
		"#1f5fbf", "#16794a", "#5f6e82", "#9a5600", "#c02a2a", "#16794a", "#b3541e",
	}
	dark = palette{
		"#12171e", "#e6ebf2", "#92a0b3", "#3a4656", "#1a222c", "#1b2b47", "#4d76b8",
		"#7fb0ff", "#5fd39a", "#92a0b3", "#e9ae5c", "#ff8a80", "#5fd39a", "#f0a070",
	}
)

const svgFonts = `text{font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.h{font-size:17px;font-weight:600}.s{font-size:12.5px}.n{font-weight:600;text-anchor:middle}.a{font-size:11px;text-anchor:middle}
.t,.l{font:11.5px ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace}.l{text-anchor:middle}.note .l,.alarm .l{text-anchor:start}
.life{stroke-width:1.2}.arrow{stroke-width:1.6;fill:none}.plain{stroke-dasharray:6 4}.sh{fill:none;stroke-width:1.5}
`

// rules writes the colours as style rules.
func (p palette) rules() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".bg{fill:%s}text{fill:%s}.t,.s,.a{fill:%s}.life{stroke:%s}.even{fill:%s}.box{fill:%s;stroke:%s}.own{fill:%s;stroke:%s}\n",
		p.back, p.ink, p.soft, p.line, p.head, p.head, p.line, p.own, p.ownLine)
	for _, c := range [...][2]string{
		{"request", p.request}, {"success", p.success}, {"provisional", p.provisional}, {"redirect", p.redirect},
		{"failure", p.failure}, {"note", p.soft}, {"alarm", p.failure},
	} {
		fmt.Fprintf(&b, ".%[1]s .l,.%[1]s .tip{fill:%[2]s}.%[1]s .arrow{stroke:%[2]s}\n", c[0], c[1])
	}
	fmt.Fprintf(&b, ".lk{fill:%s}.sh{stroke:%s}.cl{stroke:%s}\n", p.lock, p.lock, p.clear)
	return b.String()
}

// svgStyle follows the reader's colour scheme; there is no script in the file and nothing is fetched.
func svgStyle() string {
	return "<style>\n" + svgFonts + light.rules() + "@media (prefers-color-scheme:dark){\n" + dark.rules() + "}</style>"
}

// SVG draws the ladder as one self-contained file that follows the reader's light or dark scheme. Hops inside TLS are
// solid and carry a lock; hops in clear are dashed.
func (l *Ladder) SVG() []byte {
	d := svgDrawing{l: l}
	d.place()
	notes := l.footnotes()
	foot := svgTop + len(l.Rows)*svgRow + svgFoot
	w, h := d.width, foot+len(notes)*svgNote
	fmt.Fprintf(&d.out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n",
		w, h, w, h, escapeXML("Ladder of call "+l.Call))
	d.out.WriteString(svgStyle())
	fmt.Fprintf(&d.out, "\n"+`<rect class="bg" width="%d" height="%d"/>`+"\n", w, h)
	d.title()
	d.columns(svgTop + len(l.Rows)*svgRow + 6)
	for i := range l.Rows {
		d.row(i, &l.Rows[i])
	}
	d.legend(foot - 18)
	for i, n := range notes {
		fmt.Fprintf(&d.out, `<text class="s" x="26" y="%d">%s</text>`+"\n", foot+i*svgNote, escapeXML(strings.Map(printable, n)))
	}
	d.out.WriteString("</svg>\n")
	return d.out.Bytes()
}

type svgDrawing struct {
	l     *Ladder
	x     []int
	width int
	out   bytes.Buffer
}

// place finds the lifelines' places: far enough apart for every label.
func (d *svgDrawing) place() {
	n := len(d.l.Columns)
	gaps := make([]int, max(0, n-1))
	for i := range gaps {
		gaps[i] = svgMinGap
	}
	need := func(r Row) int { return int(float64(utf8.RuneCountInString(r.Label))*svgChar) + 58 }
	end := 0 // how far remarks reach beyond the last lifeline
	for _, r := range d.l.Rows {
		a, b := min(r.From, r.To), max(r.From, r.To)
		have := 0
		for i := a; i < b; i++ {
			have += gaps[i]
		}
		if a != b && have < need(r) {
			gaps[b-1] += need(r) - have
		}
	}
	d.x = make([]int, n)
	at := svgLeft + svgMinGap/2
	for i := range d.x {
		d.x[i] = at
		if i < len(gaps) {
			at += gaps[i]
		}
	}
	for _, r := range d.l.Rows {
		if r.From == r.To {
			end = max(end, d.x[r.From]+need(r))
		}
	}
	for _, n := range d.l.footnotes() {
		end = max(end, 52+int(float64(utf8.RuneCountInString(n))*svgChar))
	}
	d.width = max(at+svgMinGap/2+svgRight, end, 560)
}

func (d *svgDrawing) title() {
	l := d.l
	head := "Call " + l.Call
	if l.From != "" {
		head = fmt.Sprintf("%s → %s", l.From, l.To)
	}
	fmt.Fprintf(&d.out, `<text class="h" x="24" y="34">%s</text>`+"\n", escapeXML(head))
	sub := fmt.Sprintf("call %s · %s · %s · %.3f s", l.Call, orWord(l.State, "no state"), l.Start.UTC().Format("2006-01-02 15:04:05 UTC"), l.End.Sub(l.Start).Seconds())
	fmt.Fprintf(&d.out, `<text class="s" x="24" y="55">%s</text>`+"\n", escapeXML(sub))
}

func orWord(s, word string) string {
	if s == "" {
		return word
	}
	return s
}

func (d *svgDrawing) columns(bottom int) {
	for i := range d.l.Rows {
		if i%2 == 1 {
			fmt.Fprintf(&d.out, `<rect class="even" x="16" y="%d" width="%d" height="%d" rx="4"/>`+"\n", svgTop+i*svgRow, d.width-32, svgRow)
		}
	}
	for i, c := range d.l.Columns {
		x, class := d.x[i], "box"
		if c.Service {
			class = "box own"
		}
		fmt.Fprintf(&d.out, `<line class="life" x1="%d" y1="116" x2="%d" y2="%d"/>`+"\n", x, x, bottom)
		fmt.Fprintf(&d.out, `<rect class="%s" x="%d" y="74" width="146" height="42" rx="8"/>`, class, x-73)
		y := 100
		if c.Note != "" {
			y = 92
			fmt.Fprintf(&d.out, `<text class="a" x="%d" y="108">%s</text>`, x, escapeXML(shorten(c.Note, 24)))
		}
		fmt.Fprintf(&d.out, `<text class="n" x="%d" y="%d">%s</text>`+"\n", x, y, escapeXML(shorten(c.Name, 18)))
	}
}

func (d *svgDrawing) row(i int, r *Row) {
	top := svgTop + i*svgRow
	fmt.Fprintf(&d.out, `<g class="%s"><title>%s</title>`, r.Class, escapeXML(orWord(r.Title, r.Label)))
	early := ""
	if r.Early {
		early = "~"
	}
	fmt.Fprintf(&d.out, `<text class="t" x="24" y="%d">%s%s</text>`, top+23, r.At.UTC().Format("15:04:05.000"), early)
	if r.From == r.To {
		fmt.Fprintf(&d.out, `<circle class="tip" cx="%d" cy="%d" r="4"/><text class="l" x="%d" y="%d">%s</text></g>`+"\n",
			d.x[r.From], top+19, d.x[r.From]+12, top+23, escapeXML(r.Label))
		return
	}
	a, b, y := d.x[r.From], d.x[r.To], top+26
	tip, step := b-1, -9
	if a > b {
		tip, step = b+1, 9
	}
	plain := ""
	if !r.Secure {
		plain = " plain"
	}
	fmt.Fprintf(&d.out, `<path class="arrow%s" d="M%d %dH%d"/>`, plain, a, y, tip+step)
	fmt.Fprintf(&d.out, `<path class="tip" d="M%d %dl%d -4.5v9z"/>`, tip, y, step)
	mid := (a + b) / 2
	if r.Secure {
		half := int(float64(utf8.RuneCountInString(r.Label)) * svgChar / 2)
		d.lock(mid-half-9, top+9)
		mid += 5
	}
	fmt.Fprintf(&d.out, `<text class="l" x="%d" y="%d">%s</text></g>`+"\n", mid, top+18, escapeXML(r.Label))
}

// lock draws a padlock whose top left corner is near x, y.
func (d *svgDrawing) lock(x, y int) {
	fmt.Fprintf(&d.out, `<path class="sh" d="M%d %dv-2a2.6 2.6 0 0 1 5.2 0v2"/><rect class="lk" x="%.1f" y="%d" width="8.4" height="6.2" rx="1.2"/>`,
		x, y+4, float64(x)-1.6, y+4)
}

func (d *svgDrawing) legend(y int) {
	d.lock(26, y-9)
	fmt.Fprintf(&d.out, `<text class="s" x="40" y="%d">inside TLS</text>`, y)
	fmt.Fprintf(&d.out, `<path class="arrow plain cl" d="M124 %dH164"/><text class="s" x="172" y="%d">in clear</text>`, y-4, y)
	fmt.Fprintf(&d.out, `<text class="s" x="248" y="%d">blue column: one of our services, which recorded this</text>`+"\n", y)
}

// escapeXML makes text fit for an element or a quoted attribute; what XML cannot carry becomes U+FFFD.
func escapeXML(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError {
			return utf8.RuneError
		}
		return r
	}, s)
	return xmlEscapes.Replace(s)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
