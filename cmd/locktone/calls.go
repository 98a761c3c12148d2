package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/locktone/locktone/trace"
)

// callsCmd is `locktone calls`.
type callsCmd struct {
	List   listCallsCmd   `cmd:"" default:"withargs" help:"Calls that live or ended lately (what locktone calls alone does)."`
	Show   showCallCmd    `cmd:"" help:"A call that is over, leg by leg, with its lock state and why."`
	Export exportCallsCmd `cmd:"" help:"Records of calls or legs as CSV or JSON lines."`
}

// listCallsCmd is `locktone calls list`.
type listCallsCmd struct {
	Limit int `help:"Most calls." default:"50"`
}

// Run lists calls.
func (c *listCallsCmd) Run(a *app) error {
	return rows(a, fmt.Sprintf("/v1/calls?limit=%d", c.Limit), "", []string{"CALL", "FROM", "TO", "STATE", "START", "LASTED", "NODES", "SERVICES", "RECORDS"}, "no calls yet",
		func(i trace.CallInfo) []string {
			took := ""
			if !i.End.IsZero() {
				took = lasted(i.Start, i.End)
			}
			return []string{i.Call, i.From, i.To, i.State, clock(i.Start), took, strings.Join(i.Nodes, ","), strings.Join(i.Services, ","), strconv.Itoa(i.Records)}
		})
}
