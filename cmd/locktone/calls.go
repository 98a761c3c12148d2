package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/trace"
)

// callsCmd is `locktone calls`.
type callsCmd struct {
	Limit int `help:"Most calls." default:"50"`
}

// Run lists calls.
func (c *callsCmd) Run(a *app) error {
	return rows(a, fmt.Sprintf("/v1/calls?limit=%d", c.Limit), "", []string{"CALL", "FROM", "TO", "STATE", "START", "LASTED", "SERVICES", "RECORDS"}, "no calls yet",
		func(i trace.CallInfo) []string {
			lasted := ""
			if !i.End.IsZero() {
				lasted = i.End.Sub(i.Start).Round(100 * time.Millisecond).String()
			}
			return []string{i.Call, i.From, i.To, i.State, clock(i.Start), lasted, strings.Join(i.Services, ","), strconv.Itoa(i.Records)}
		})
}
