package config

import (
	"strconv"
	"strings"
)

// maxListed bounds how many names an error message spells out.
const maxListed = 20

func listOf(names []string) string {
	if len(names) > maxListed {
		return strings.Join(names[:maxListed], ", ") + " and " + strconv.Itoa(len(names)-maxListed) + " more"
	}
	return strings.Join(names, ", ")
}

// suggest names the nearest of the known names, and else lists them.
func suggest(got string, known []string, lead string) string {
	if near := nearest(got, known); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	return lead + " " + listOf(known)
}

// nearest returns the known name that differs in few enough letters to be a
// slip of the keyboard, or "".
func nearest(got string, known []string) string {
	best, dist := "", min(max(len(got)/3, 1)+1, len(got))
	for _, k := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour (optimal string alignment).
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
