package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/store"
)

// ledger keeps what it is asked for.
type ledger struct {
	asked []store.CallQuery
	legs  []store.LegRecord
}

func (l *ledger) Calls(_ context.Context, q store.CallQuery) ([]store.CallRecord, error) {
	l.asked = append(l.asked, q)
	return nil, fmt.Errorf("the ledger is closed")
}

func (l *ledger) Legs(_ context.Context, q store.CallQuery) ([]store.LegRecord, error) {
	l.asked = append(l.asked, q)
	return l.legs, nil
}

func (l *ledger) Contacts(_ context.Context, q store.CallQuery) ([]store.ContactRecord, error) {
	l.asked = append(l.asked, q)
	return []store.ContactRecord{{ID: 5, Contact: "c1"}}, nil
}

func (l *ledger) QueueIntervals(_ context.Context, q store.CallQuery) ([]store.QueueInterval, error) {
	l.asked = append(l.asked, q)
	return []store.QueueInterval{{ID: 6, Queue: "sales"}}, nil
}

func (l *ledger) AgentIntervals(_ context.Context, q store.CallQuery) ([]store.AgentInterval, error) {
	l.asked = append(l.asked, q)
	return []store.AgentInterval{{ID: 7, Agent: "ann"}}, nil
}

// TestHistory: a page that is full names the next, and the query is what was asked.
func TestHistory(t *testing.T) {
	l := &ledger{legs: []store.LegRecord{{ID: 8, Call: "g", Setup: time.Unix(1, 0)}, {ID: 9, Call: "g"}}}
	k := start(t, func(c *Config) { c.Records = l })
	for _, c := range []struct {
		path string
		want string
		next int64
	}{
		{"/v1/history/legs?after=7&limit=2&party=%2B4930&since=2026-01-02T00:00:00Z", `{2026-01-02 00:00:00 +0000 UTC 0001-01-01 00:00:00 +0000 UTC +4930  2 true 7}`, 9},
		{"/v1/history/legs?call=g", `{0001-01-01 00:00:00 +0000 UTC 0001-01-01 00:00:00 +0000 UTC  g 1000 true 0}`, 0},
	} {
		status, body := k.ask("GET", c.path, operatorToken, "")
		var page Page[store.LegRecord]
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || page.Next != c.next || len(page.Rows) != 2 || page.Rows[1].ID != 9 {
			t.Errorf("%s: %d %v %s", c.path, status, err, body)
		}
		if got := fmt.Sprint(l.asked[len(l.asked)-1]); got != c.want {
			t.Errorf("%s asks for %s, want %s", c.path, got, c.want)
		}
	}
	for path, want := range map[string]int{"/v1/history/legs?limit=5001": 422, "/v1/history/legs?after=-1": 422, "/v1/history/calls": 500, "/v1/history/legs?since=yesterday": 422} {
		if status, body := k.ask("GET", path, operatorToken, ""); status != want && !(want == 422 && status == 400) {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	if status, body := k.ask("GET", "/v1/history/legs", viewerToken, ""); status != 403 || strings.Contains(body, "rows") {
		t.Errorf("a viewer: %d %s", status, body)
	}
}

// TestNoHistory: a node without records says so.
func TestNoHistory(t *testing.T) {
	if status, body := start(t, nil).ask("GET", "/v1/history/calls", operatorToken, ""); status != 404 || !strings.Contains(body, "no call records") {
		t.Errorf("%d %s", status, body)
	}
}

// TestContactHistory: contacts and intervals are paged as calls are; who has no business with persons sees queues alone.
func TestContactHistory(t *testing.T) {
	l := &ledger{}
	k := start(t, func(c *Config) { c.Records = l })
	for path, want := range map[string]string{"/v1/history/contacts": `"contact":"c1"`, "/v1/history/queues": `"queue":"sales"`, "/v1/history/agents": `"agent":"ann"`} {
		status, body := k.ask("GET", path+"?party=x&limit=1", operatorToken, "")
		if status != 200 || !strings.Contains(body, want) || strings.Contains(body, `"next":0`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if q := l.asked[len(l.asked)-1]; q.Party != "x" || q.Limit != 1 || !q.Oldest {
			t.Errorf("%s asks for %+v", path, q)
		}
		if status, _ := k.ask("GET", path, viewerToken, ""); (status == 200) != (path == "/v1/history/queues") {
			t.Errorf("%s for a viewer: %d", path, status)
		}
	}
	if status, body := k.ask("GET", "/v1/cc/queues", viewerToken, ""); status != 200 || !strings.Contains(body, "no contact centre leads") {
		t.Errorf("%d %s", status, body)
	}
	bus.Put(k.cfg.Bus.Board(), contact.FactRouter, contact.RouterKey, contact.Router{Node: "n1", Life: 1})
	if status, body := k.ask("GET", "/v1/cc/agents", operatorToken, ""); status != 200 || strings.Contains(body, "no contact centre leads") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := k.ask("GET", "/v1/cc/agents", viewerToken, ""); status != 403 {
		t.Errorf("a viewer sees agents: %d", status)
	}
}
