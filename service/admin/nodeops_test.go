package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/join"
	"github.com/locktone/locktone/store"
)

// fakeCluster answers a redemption with what it was told to.
type fakeCluster struct {
	err   error
	asked atomic.Int32
}

func (c *fakeCluster) Welcome() join.Welcome {
	return join.Welcome{Cluster: "lab", Node: "n1", Roots: "roots"}
}

func (c *fakeCluster) NewToken(_ context.Context, by, node string, life time.Duration) (join.Token, join.Info, error) {
	return join.Token{ID: "0011223344556677", Secret: make(pki.Secret, 32)}, join.Info{ID: "0011223344556677", Node: node, By: by}, c.err
}

func (c *fakeCluster) Redeem(_ context.Context, r join.Request) (join.Grant, error) {
	c.asked.Add(1)
	return join.Grant{Cluster: "lab", Node: "n2", Member: "n1", ClusterKey: pki.Secret("the cluster key"), DSN: pki.Secret("the dsn")}, c.err
}

func (c *fakeCluster) Nodes(context.Context) ([]NodeRow, error) {
	return []NodeRow{{Name: "n1", Alive: true, NodeFact: NodeFact{Services: []string{"callmanager"}}}, {Name: "n2", NodeFact: NodeFact{Problem: "away"}}}, c.err
}

func (c *fakeCluster) Remove(_ context.Context, by string, r NodeRemoval) (NodeRemoved, error) {
	return NodeRemoved{Revision: 7, Revoked: 4, Advice: []string{}}, c.err
}

func joinBody(t *testing.T, id string) string {
	t.Helper()
	b, err := join.Request{ID: id, Secret: pki.Secret("the secret of the token"), Claim: make(pki.Secret, 32), Host: "host"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestJoining: who has nothing but a token gets at what is for new nodes and at nothing else; each outcome has its code, an address that is
// wrong too often is shut out, and the audit log says what happened without a secret.
func TestJoining(t *testing.T) {
	now := time.Now()
	c := &fakeCluster{}
	k := start(t, func(cfg *Config) { cfg.Cluster, cfg.Now = c, func() time.Time { return now } })
	if status, body := k.ask("GET", join.Path, "", ""); status != 200 || !strings.Contains(body, `"roots":"roots"`) {
		t.Errorf("welcome: %d %s", status, body)
	}
	for _, path := range []string{"/v1/nodes", "/v1/join/x", "/v1/status"} {
		if status, _ := k.ask("GET", path, "", ""); status != 401 {
			t.Errorf("%s without a token: %d", path, status)
		}
	}
	const id = "0011223344556677"
	for _, x := range []struct {
		err    error
		body   string
		status int
		code   string
	}{
		{nil, joinBody(t, id), 200, ""},
		{join.ErrUsed, joinBody(t, id), 403, "forbidden"},
		{join.ErrExpired, joinBody(t, id), 403, "forbidden"},
		{fmt.Errorf("%w: it is for n9", join.ErrName), joinBody(t, id), 403, "forbidden"},
		{fmt.Errorf("%w: gone", store.ErrUnavailable), joinBody(t, id), 503, "unavailable"},
		{errors.New("?"), joinBody(t, id), 500, "internal"},
		{nil, "no JSON", 422, "invalid"},
		{nil, strings.Repeat("x", join.MaxBody+1), 422, "invalid"},
	} {
		c.err = x.err
		status, body := k.ask("POST", join.Path, "", x.body)
		if status != x.status || x.code != "" && !strings.Contains(body, `"code":"`+x.code+`"`) {
			t.Errorf("%v: %d %s", x.err, status, body)
		}
		if g, err := join.DecodeGrant([]byte(body)); x.status == 200 && (err != nil || string(g.DSN) != "the dsn") {
			t.Errorf("granted %v: %v", g, err)
		}
	}
	c.err, c.asked = join.ErrUnknown, atomic.Int32{}
	for i := range maxAttempts {
		if status, _ := k.ask("POST", join.Path, "", joinBody(t, id)); status != 401 {
			t.Fatalf("attempt %d: %d", i, status)
		}
	}
	c.err = nil
	if status, _ := k.ask("POST", join.Path, "", joinBody(t, id)); status != 429 || c.asked.Load() != maxAttempts {
		t.Errorf("after %d wrong ones the right one: %d, asked %d times", maxAttempts, status, c.asked.Load())
	}
	now = now.Add(2 * attemptWindow)
	if status, _ := k.ask("POST", join.Path, "", joinBody(t, "../x")); status != 401 || c.asked.Load() != maxAttempts {
		t.Errorf("an id that is none: %d", status)
	}
	status, body := k.ask("GET", "/v1/audit?action=node-join", adminToken, "")
	if status != 200 || !strings.Contains(body, "n2 by token "+id) || !strings.Contains(body, `"result":"unauthorized"`) {
		t.Errorf("the audit log: %d %s", status, body)
	}
	for _, secret := range []string{"the secret", "the cluster key", "the dsn", "dGhlIHNlY3JldA"} {
		if strings.Contains(body, secret) {
			t.Errorf("the audit log has %q", secret)
		}
	}
}

// TestNodes: the list names who goes on without the record, and a node without a cluster says so.
func TestNodes(t *testing.T) {
	k := start(t, func(cfg *Config) { cfg.Cluster = &fakeCluster{} })
	status, body := k.ask("GET", "/v1/nodes", viewerToken, "")
	var list Rows[NodeRow]
	if err := json.Unmarshal([]byte(body), &list); status != 200 || err != nil || len(list.Rows) != 2 || len(list.Problems) != 1 || !strings.Contains(list.Problems[0], "n2 goes on without the record") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := k.ask("POST", "/v1/nodes/tokens", adminToken, `{"name":"n2","minutes":5}`); status != 200 || !strings.Contains(body, `"token":"LN1-`) {
		t.Errorf("%d %s", status, body)
	}
	alone := start(t, nil)
	if status, body := alone.ask("GET", "/v1/nodes", viewerToken, ""); status != 501 || !strings.Contains(body, "not-supported") {
		t.Errorf("alone: %d %s", status, body)
	}
	if status, _ := alone.ask("POST", join.Path, "", joinBody(t, "0011223344556677")); status != 501 {
		t.Errorf("alone: %d", status)
	}
}
