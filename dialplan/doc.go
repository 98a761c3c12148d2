// Package dialplan decides what dialled digits mean: digit analysis with partitions and calling search spaces, numbers in the
// form of ITU-T E.164 or any private plan.
//
// The words are the field's: a pattern lives in a partition; a calling search space is an ordered list of partitions and says
// what a caller may reach; a translation pattern rewrites the digits and asks again, with a search space of its own; a route
// pattern leads to a trunk or route list; a directory number leads to a line; an applet pattern leads to a program of ours; hunt,
// park, meet-me and feature patterns lead to what they are named after.
//
// # Patterns
//
//	0-9 A-D * #   that digit                \+      a plus sign (global form of E.164)
//	X             any one digit 0-9         [1-57]  one digit of the set, [^1-5] one digit 0-9 not in it
//	!             one or more digits 0-9,   .       no digit: marks where the pre-dot discard cuts
//	              once per pattern, never before the dot; in a feature code also +, so that its argument (what stands
//	              behind the dot) can be a global number
//
// # Which pattern wins
//
// All patterns of all partitions of the search space compete; the nameless partition ("") comes last in every search space.
// The closest match wins: the pattern which matches the fewest strings of the dialled length. Ties go to a pattern
// without "!", then to the partition that comes first in the search space, then to the pattern that comes first in the
// rules. Digit by digit (overlap), a match is final only when no longer
// string could match anything, or when the winning pattern is urgent; en bloc (Query.Complete) it is final at once.
//
// # What comes before that
//
// An emergency pattern that matches completely wins over everything else: no closer pattern, blocked pattern, translation or
// schedule keeps a caller from it, and for a device of ours neither does a search space. Of two, the one in the caller's search
// space wins. What a translation makes of other digits counts as well.
//
// A partition with a Schedule is searched while that is open: time-of-day routing. The time and the caller's zone are part of the
// query; the plan has no clock.
//
// # Numbers outside of routing
//
// A Transformation rewrites calling or called numbers for a trunk or device: calls are routed with +E.164 numbers, each trunk and each
// display gets the form it understands.
//
// A Plan is compiled from Rules into one trie per partition. It is immutable and safe for concurrent use.
package dialplan
