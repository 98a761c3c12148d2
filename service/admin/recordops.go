package admin

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/store"
)

// CallRecords are the records of calls and contacts that are over; *store.Store has them.
type CallRecords interface {
	Calls(ctx context.Context, q store.CallQuery) ([]store.CallRecord, error)
	Legs(ctx context.Context, q store.CallQuery) ([]store.LegRecord, error)
	Contacts(ctx context.Context, q store.CallQuery) ([]store.ContactRecord, error)
	QueueIntervals(ctx context.Context, q store.CallQuery) ([]store.QueueInterval, error)
	AgentIntervals(ctx context.Context, q store.CallQuery) ([]store.AgentInterval, error)
}

// recordQuery selects records.
type recordQuery struct {
	Since time.Time `query:"since" doc:"only calls, contacts and intervals that began, legs that were set up, then or later"`
	Until time.Time `query:"until" doc:"only those before"`
	Party string    `query:"party" maxLength:"128" doc:"only those with this number, device or trunk"`
	Call  string    `query:"call" maxLength:"512" doc:"only those of the call with this global id"`
	After int64     `query:"after" minimum:"0" doc:"only records with a higher id: the next of the page before"`
	Limit int       `query:"limit" minimum:"1" maximum:"5000" default:"1000"`
}

func (q *recordQuery) query() store.CallQuery {
	return store.CallQuery{Since: q.Since, Until: q.Until, Party: q.Party, Call: q.Call, After: q.After, Limit: q.Limit, Oldest: true}
}

// Page is a part of a list, oldest first.
type Page[T any] struct {
	Rows []T `json:"rows"`
	// Next is the after of the next page; 0: this is the last.
	Next int64 `json:"next" doc:"the after of the next page; 0: there is none"`
}

// recordOperations show who talked to whom, which is personal: viewers, who watch machines, do not see it.
func (s *Server) recordOperations(api huma.API) {
	add(s, api, get("call-history", "/v1/history/calls", RoleOperator, "Records of calls that are over, oldest first, page by page"),
		pageOf(s, CallRecords.Calls, func(r *store.CallRecord) int64 { return r.ID }))
	add(s, api, get("leg-history", "/v1/history/legs", RoleOperator, "Records of legs that are over, oldest first, page by page"),
		pageOf(s, CallRecords.Legs, func(r *store.LegRecord) int64 { return r.ID }))
}

// pageOf answers with a page of records.
func pageOf[T any](s *Server, read func(CallRecords, context.Context, store.CallQuery) ([]T, error), id func(*T) int64) func(context.Context, *recordQuery) (*body[Page[T]], error) {
	return func(ctx context.Context, in *recordQuery) (*body[Page[T]], error) {
		if s.cfg.Records == nil {
			return nil, problem(bus.CodeNotFound, "this node has no call records")
		}
		q := in.query()
		rows, err := read(s.cfg.Records, ctx, q)
		if err != nil {
			return nil, err
		}
		page := Page[T]{Rows: rows}
		if n := len(rows); n == 0 {
			page.Rows = []T{}
		} else if n == q.Limit {
			page.Next = id(&rows[n-1])
		}
		return &body[Page[T]]{page}, nil
	}
}
