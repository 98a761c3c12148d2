package trace

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The measures of the text form, in characters.
const (
	textLeft = 14 // the time and two blanks
	minGap   = 16 // between two lifelines, when there is little room
)

// Text draws the ladder with box-drawing characters, at most width characters wide where the columns leave that much
// (0: as wide as its labels need). A double line is a hop inside TLS.
func (l *Ladder) Text(width int) string {
	if len(l.Columns) == 0 {
		return "no messages\n"
	}
	d := textDrawing{l: l, x: l.positions(width)}
	d.width = d.x[len(d.x)-1] + 1 + utf8.RuneCountInString(l.Columns[len(l.Columns)-1].Name)/2
	d.width = max(d.width, width)
	d.title()
	d.heads()
	for i := range l.Rows {
		d.row(&l.Rows[i])
	}
	d.legend()
	return d.out.String()
}

type textDrawing struct {
	l     *Ladder
	x     []int // of the lifelines
	width int
	out   strings.Builder
}

// positions places the lifelines: as far apart as labels and names need, closer where the width asks for it.
func (l *Ladder) positions(width int) []int {
	gaps := l.gaps()
	first := utf8.RuneCountInString(l.Columns[0].Name)/2 + 1
	last := utf8.RuneCountInString(l.Columns[len(l.Columns)-1].Name)/2 + 1
	total := textLeft + first + last
	for _, g := range gaps {
		total += g
	}
	for width > 0 && total > width && len(gaps) > 0 {
		i := slices.Index(gaps, slices.Max(gaps))
		if gaps[i] <= minGap {
			break
		}
		gaps[i]--
		total--
	}
	x := make([]int, len(l.Columns))
	x[0] = textLeft + first
	for i, g := range gaps {
		x[i+1] = x[i] + g
	}
	return x
}

// gaps returns the distances that would leave nothing cut.
func (l *Ladder) gaps() []int {
	gaps := make([]int, len(l.Columns)-1)
	for i := range gaps {
		names := utf8.RuneCountInString(l.Columns[i].Name) + utf8.RuneCountInString(l.Columns[i+1].Name)
		gaps[i] = max(minGap, names/2+3)
	}
	for _, r := range l.Rows {
		a, b := min(r.From, r.To), max(r.From, r.To)
		need, have := utf8.RuneCountInString(r.Label)+7, 0
		for i := a; i < b; i++ {
			have += gaps[i]
		}
		if a != b && have < need {
			gaps[b-1] += need - have
		}
	}
	return gaps
}

func (d *textDrawing) title() {
	l := d.l
	fmt.Fprintf(&d.out, "Call %s", l.Call)
	if l.From != "" {
		fmt.Fprintf(&d.out, "   %s → %s", l.From, l.To)
	}
	if l.State != "" {
		fmt.Fprintf(&d.out, "   %s", l.State)
	}
	fmt.Fprintf(&d.out, "   %s, %.3f s\n\n", l.Start.UTC().Format("2006-01-02 15:04:05 UTC"), l.End.Sub(l.Start).Seconds())
}

// heads writes the names and the addresses above the lifelines.
func (d *textDrawing) heads() {
	for _, pick := range [...]func(Column) string{func(c Column) string { return c.Name }, func(c Column) string { return c.Note }} {
		line := blank(d.width + 24)
		end := 0
		for i, c := range d.l.Columns {
			text := []rune(pick(c))
			if room := d.room(i); len(text) > room {
				text = []rune(shorten(string(text), room))
			}
			at := max(end, d.x[i]-len(text)/2)
			end = at + copy(line[at:], text) + 1
		}
		if strings.TrimSpace(string(line)) != "" {
			d.flush(line)
		}
	}
	d.flush(d.lifelines())
}

// room is how long the text above a lifeline may be.
func (d *textDrawing) room(i int) int {
	left, right := 40, 40
	if i > 0 {
		left = d.x[i] - d.x[i-1]
	}
	if i+1 < len(d.x) {
		right = d.x[i+1] - d.x[i]
	}
	return max(6, min(left, right)-1)
}

func blank(n int) []rune {
	return []rune(strings.Repeat(" ", n))
}

func (d *textDrawing) lifelines() []rune {
	line := blank(d.width + 24)
	for _, x := range d.x {
		line[x] = '│'
	}
	return line
}

func (d *textDrawing) flush(line []rune) {
	d.out.WriteString(strings.TrimRight(string(line), " "))
	d.out.WriteByte('\n')
}

func (d *textDrawing) row(r *Row) {
	line := d.lifelines()
	copy(line, []rune(r.At.UTC().Format("15:04:05.000")))
	if r.Early {
		line[textLeft-2] = '~'
	}
	if r.From == r.To {
		d.note(line, r)
		return
	}
	a, b := d.x[min(r.From, r.To)], d.x[max(r.From, r.To)]
	dash := '─'
	if r.Secure {
		dash = '═'
	}
	for x := a + 1; x < b; x++ {
		line[x] = dash
	}
	from, to := a+2, b-2
	if r.From < r.To {
		line[b-1] = '▶'
		to--
	} else {
		line[a+1] = '◀'
		from++
	}
	label := []rune(" " + r.fit(to-from-1) + " ")
	copy(line[from+(to-from-len(label)+1)/2:], label)
	d.flush(line)
}

// fit returns the longest form of the label that has room in n characters.
func (r *Row) fit(n int) string {
	for _, s := range [...]string{r.Label, strings.Replace(r.Label, " sdp ", " ", 1), r.Short} {
		if s != "" && utf8.RuneCountInString(s) <= n {
			return s
		}
	}
	return shorten(r.Label, n)
}

// note writes a remark beside its lifeline, to the right when there is room, else to the left.
func (d *textDrawing) note(line []rune, r *Row) {
	mark := "• "
	if r.Class == "alarm" {
		mark = "! "
	}
	x := d.x[r.From]
	text := []rune(mark + r.Label + " ")
	right, left := d.width-x-2, x-textLeft-1
	switch {
	case len(text) <= right || right >= left:
		copy(line[x+2:], []rune(shorten(string(text), right)))
	default:
		text = []rune(shorten(string(text), left))
		copy(line[x-1-len(text):], text)
	}
	d.flush(line)
}

// legend explains the lines that occur.
func (d *textDrawing) legend() {
	secure, clear := 0, 0
	for _, r := range d.l.Rows {
		switch {
		case r.From == r.To:
		case r.Secure:
			secure++
		default:
			clear++
		}
	}
	d.out.WriteByte('\n')
	if secure > 0 {
		fmt.Fprintf(&d.out, "═══▶ inside TLS: %d", secure)
	}
	if clear > 0 {
		if secure > 0 {
			d.out.WriteString("   ")
		}
		fmt.Fprintf(&d.out, "───▶ in clear: %d", clear)
	}
	if secure > 0 && clear == 0 {
		d.out.WriteString("   every hop was encrypted 🔒")
	}
	d.out.WriteByte('\n')
	for _, n := range d.l.footnotes() {
		fmt.Fprintf(&d.out, "note: %s\n", n)
	}
}

// footnotes are the sentences below the ladder.
func (l *Ladder) footnotes() []string {
	notes := slices.Clone(l.Notes)
	if slices.ContainsFunc(l.Rows, func(r Row) bool { return r.Early }) {
		notes = append(notes, "~ by the clocks this was earlier than what stands above it, which cannot be: who sent what comes first")
	}
	return notes
}
