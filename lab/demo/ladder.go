package demo

import "github.com/locktone/locktone/trace"

// ladderWidth is what fits a terminal without wrapping.
const ladderWidth = 110

func drawLadder(recs []trace.Record) string {
	return trace.NewLadder(recs, trace.LadderOptions{}).Text(ladderWidth)
}
