package simulate

import (
	"fmt"
	"slices"
	"strings"
)

// Plot is a picture (SVG) of a Result: the service level of each queue over the intervals, and what 90 of 100 callers waited.
func Plot(r *Result) string {
	const width, height, left = 900, 260, 60
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, 2*height+60)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	longest := 1.0
	for _, x := range r.Intervals {
		longest = max(longest, x.P90.Seconds())
	}
	charts := []struct {
		title string
		top   float64
		value func(Interval) float64
	}{
		{"service level, %", 100, func(x Interval) float64 { return x.ServiceLevel }},
		{"90 of 100 waited at most, s", longest, func(x Interval) float64 { return x.P90.Seconds() }},
	}
	for i, c := range charts {
		y := float64(20 + i*(height+20))
		fmt.Fprintf(&b, `<text x="%d" y="%.0f">%s</text><path d="M%d %.0f V%.0f H%d" fill="none" stroke="#888"/>`+"\n", left, y, c.title, left, y+10, y+height-20, width-20)
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" text-anchor="end">%.0f</text><text x="%d" y="%.0f" text-anchor="end">0</text>`+"\n", left-6, y+20, c.top, left-6, y+height-20)
		for j, q := range r.Queues {
			line(&b, r, q.Queue, colours()[j%len(colours())], c.value, c.top, y+10, y+height-20, left, width-20)
		}
	}
	for j, q := range r.Queues {
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+j*160, 2*height+50, colours()[j%len(colours())], escape(q.Queue))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func colours() []string {
	return []string{"#1565c0", "#c62828", "#2e7d32", "#6a1b9a", "#ef6c00", "#00838f"}
}

func line(b *strings.Builder, r *Result, queue, colour string, value func(Interval) float64, top, y0, y1 float64, x0, x1 int) {
	var mine []Interval
	for _, x := range r.Intervals {
		if x.Queue == queue {
			mine = append(mine, x)
		}
	}
	points := make([]string, 0, len(mine))
	for i, x := range mine {
		if v := value(x); v >= 0 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", float64(x0)+(float64(i)+0.5)*float64(x1-x0)/float64(len(mine)), y1-(y1-y0)*min(v/top, 1)))
		}
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(slices.Clip(points), " "), colour)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
