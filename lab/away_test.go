package lab_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/store"
)

// eventually waits for what nobody announces.
func eventually(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for !holds(ctx) {
		if ctx.Err() != nil {
			t.Fatal("it never came: ", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// copied says whether a node's copy of the record has the certificates of devices. A node that starts from its copy lets nobody else in.
func copied(ctx context.Context, n *lab.Node, devices ...string) bool {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(n.Home, "copy.db")+"?mode=ro")
	if err != nil {
		return false
	}
	defer db.Close()
	for _, name := range devices {
		var has int
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM certificate WHERE name = ?`, name).Scan(&has); err != nil || has == 0 {
			return false
		}
	}
	return true
}

// TestRecordAway: while PostgreSQL is away a node goes on, and one that starts then starts from its copy; calls are recorded and what
// users set is kept all the same, and is in the record when it is back.
func TestRecordAway(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{})
	n := c.Node("n1")
	alice, bob := c.Registered("n1", "alice", "1001", soon), c.Registered("n1", "bob", "1002", soon)
	call := func() {
		t.Helper()
		a := must(alice.Dial(within(t, 10*time.Second), "1002"))(t)
		b := <-bob.Incoming()
		if err := b.Answer(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := a.WaitAnswered(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := a.Hangup(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a copy that knows the certificates of both", func(ctx context.Context) bool { return copied(ctx, n, "alice", "bob") })
	c.Record("n1", false)
	call()
	code := must(alice.Dial(within(t, 10*time.Second), "*78"))(t)
	_ = code.WaitAnswered(within(t, 10*time.Second))
	_ = code.Hangup(within(t, 10*time.Second))
	eventually(t, "two batches of records and a setting that wait", func(ctx context.Context) bool {
		h := n.Store.Health(ctx)
		return h.Stale && h.Waiting >= 3 && !h.Since.IsZero() && strings.Contains(h.Problem, "settings of users wait")
	})
	if h := c.Node("n2").Store.Health(t.Context()); h.Stale {
		t.Errorf("the other node: %+v", h)
	}

	c.Stop("n1")
	c.Restart("n1")
	if known := n.Store.Known(); !known.Stale {
		t.Fatal("it did not start from its copy")
	}
	for _, p := range []*phone.Phone{alice, bob} { // between two tries a phone waits for 30 s, when its node was away for long
		if err := p.WaitRegistered(within(t, 90*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	call()
	c.Record("n1", true)
	eventually(t, "nothing that waits", func(ctx context.Context) bool { h := n.Store.Health(ctx); return !h.Stale && h.Waiting == 0 })
	eventually(t, "the records of the calls", func(ctx context.Context) bool {
		legs, err := c.Node("n2").Store.Legs(ctx, store.CallQuery{Party: "bob"})
		return err == nil && len(legs) == 2
	})
	if n.Store.Known().Stale {
		t.Error("the truth is back and not known")
	}
	doc, err := c.Node("n2").Store.Documents("user-settings").Get(t.Context(), "device/alice")
	if err != nil || !strings.Contains(strings.ToLower(string(doc.Value)), "disturb") {
		t.Errorf("what was set at the phone: %s, %v", doc.Value, err)
	}
}
