package contactcenter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/store"
)

// handled brings a call to ann, who answers and notes something, and ends it. It is over when she is ready again.
func (k *kit) handled(id contact.CallID) {
	k.t.Helper()
	ctx := within(k.t)
	l := k.ask(contact.Query{Call: id, GlobalID: "g-" + string(id), Called: "800", Calling: "+49301", Reason: contact.New})
	if l.Kind != contact.Connect {
		l = k.order().Label
	}
	k.note(contact.Note{Call: id, Serial: l.Serial, Kind: contact.NoteConnected, Number: "2001"})
	k.state("ann", center.Talking)
	must(k.t, k.s.SetVariables(ctx, "ann", id, map[string]string{"customer": "17"}))
	if o := k.order(); o.Label.Kind != contact.Stay || o.Label.Variables["customer"] != "17" {
		k.t.Fatalf("%+v", o)
	}
	k.ahead.Add(int64(time.Minute))
	k.note(contact.Note{Call: id, Kind: contact.NoteEnded, By: contact.ByCaller, Cause: call.NormalClearing})
	k.state("ann", center.Work)
	k.ahead.Add(int64(10 * time.Second))
	must(k.t, k.s.WrapUp(ctx, "ann", id, []string{"sale", "upgrade"}, "wants a leaflet"))
	must(k.t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	k.record()
}

// rows waits until a list in the store has so many rows, and gives them.
func rows[T any](t *testing.T, n int, read func(context.Context, store.CallQuery) ([]T, error)) []T {
	t.Helper()
	ctx := within(t)
	for {
		all, err := read(ctx, store.CallQuery{Oldest: true, Limit: 100})
		must(t, err)
		if len(all) >= n {
			return all
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d rows came: %+v", len(all), all)
		}
	}
}

// testRecords: the record of a contact comes when the agent has wrapped up, with what she noted; what happened in an interval is there when
// it is over, and what had begun is there when the lead ends.
func testRecords(t *testing.T, dsn string) {
	k := newKitOn(t, dsn)
	ctx := within(t)
	now := k.s.cfg.Now()
	k.ahead.Add(int64(now.Truncate(15 * time.Minute).Add(15*time.Minute + 10*time.Second).Sub(now))) // the first interval is that until here
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	from := k.s.cfg.Now().Truncate(15 * time.Minute)
	k.handled("c1")
	c := rows(t, 1, k.store.Contacts)[0]
	if c.Contact != "c1" || c.GlobalID != "g-c1" || c.Node != "n1" || c.Queue != "sales" || c.Script != "sales" || c.Agent != "ann" || c.Team != "blue" || c.Offers != 1 || c.TalkMS < 60000 || c.TalkMS > 90000 ||
		c.Outcome != "handled" || c.By != "caller" || c.Cause != 16 || c.Reasons != "sale,upgrade" || c.Note != "wants a leaflet" || !strings.Contains(c.Variables, `"customer":"17"`) ||
		c.Queued.IsZero() || c.Answered.IsZero() || c.End.Sub(c.Answered) < time.Minute || strings.Contains(c.Variables, "cc_") {
		t.Errorf("%+v", c)
	}
	k.ahead.Add(int64(15 * time.Minute))
	must(t, k.s.SetState(ctx, "ann", center.NotReady, "", "")) // whatever happens first in the next interval ends the last
	queues := rows(t, 2, k.store.QueueIntervals)
	if q := queues[1]; !q.Begin.Equal(from) || q.End.Sub(q.Begin) != 15*time.Minute || q.Queue != "sales" || q.Offered != 1 || q.Answered != 1 || q.Within != 1 || q.ServiceLevel != 100 || q.TalkMS < 60000 ||
		q.WorkMS < 10000 {
		t.Errorf("%+v", q)
	}
	if q := queues[0]; !q.End.Equal(from) || q.Offered != 0 || q.ServiceLevel != -1 {
		t.Errorf("%+v", q)
	}
	a := rows(t, 1, k.store.AgentIntervals)[0]
	if sum := a.NotReadyMS + a.ReadyMS + a.ReservedMS + a.TalkingMS + a.HoldMS + a.WorkMS; !a.Begin.Equal(from) || a.Agent != "ann" || a.Team != "blue" || a.Handled != 1 || a.TalkingMS < 60000 || a.WorkMS < 10000 ||
		sum != a.LoggedInMS || sum < 14*60000 || sum > 15*60000 {
		t.Errorf("%+v", a)
	}
	must(t, k.s.Close(ctx))
	if a := rows(t, 2, k.store.AgentIntervals)[1]; !a.Begin.Equal(from.Add(15*time.Minute)) || a.End.Sub(a.Begin) >= 15*time.Minute || a.NotReadyMS == 0 || a.Handled != 0 {
		t.Errorf("%+v", a)
	}
	k.ahead.Add(int64(401 * 24 * time.Hour))
	k.s.pruneBatch(ctx)
	if left, err := k.store.Contacts(ctx, store.CallQuery{}); err != nil || len(left) != 0 {
		t.Errorf("after 401 days: %+v, %v", left, err)
	}
}

func TestRecords(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testRecords(t, filepath.Join(t.TempDir(), "s.db")) })
	t.Run("postgresql", func(t *testing.T) { testRecords(t, postgres.Need(t).Database(t)) })
}

// TestWrapUpNewLife: a record that waits for an agent's wrap-up is there in the next life, and still takes it.
func TestWrapUpNewLife(t *testing.T) {
	k := newKit(t)
	ctx := within(t)
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	l := k.ask(contact.Query{Call: "c1", Called: "800", Reason: contact.New})
	if l.Kind != contact.Connect {
		l = k.order().Label
	}
	k.note(contact.Note{Call: "c1", Serial: l.Serial, Kind: contact.NoteConnected, Number: "2001"})
	k.note(contact.Note{Call: "c1", Kind: contact.NoteEnded, By: contact.ByCaller})
	k.state("ann", center.Work)
	must(t, k.s.WrapUp(ctx, "ann", "c1", []string{"sale"}, ""))
	k.writtenAs("ann", func(a center.AgentRecord) bool { return len(a.Wraps) == 1 && len(a.Wraps[0].WrapUps) == 1 })
	must(t, k.s.Close(ctx))
	k.begin()
	k.state("ann", center.Work)
	must(t, k.s.WrapUp(ctx, "ann", "c1", []string{"upgrade"}, "after all"))
	var refused *Refusal
	if err := k.s.WrapUp(ctx, "bob", "c1", nil, ""); !errors.As(err, &refused) {
		t.Errorf("somebody else's contact: %v", err)
	}
	must(t, k.s.SetState(ctx, "ann", center.LoggedOut, "", ""))
	if r := k.record(); r.Call != "c1" || fmt.Sprintf("%v %s", r.Reasons(), r.Note()) != "[upgrade] after all" {
		t.Errorf("%+v", r)
	}
	if c := rows(t, 1, k.store.Contacts); len(c) != 1 || c[0].Reasons != "upgrade" {
		t.Errorf("%+v", c)
	}
}

// TestShown: what operators are shown over the bus is what there is.
func TestShown(t *testing.T) {
	k := newKit(t)
	ctx := within(t)
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	k.ask(contact.Query{Call: "c1", GlobalID: "g", Called: "800", Calling: "+49301", Reason: contact.New})
	k.see("the contact and ann", func(p *Picture) bool { return len(p.Contacts) == 1 && p.Agents[0].State == center.NotReady })
	agents, err := bus.Ask[bus.Query, []bus.AgentState](ctx, k.bus, k.bus.Subject(Name, bus.VerbAgents), bus.Query{Name: "ann"})
	must(t, err)
	if len(agents) != 1 || agents[0].State != "not-ready" || agents[0].Device != "SEP1" || agents[0].Reason != center.ReasonLogIn || !agents[0].Desktop || agents[0].Node != "n1" {
		t.Errorf("%+v", agents)
	}
	queues, err := bus.Ask[bus.Query, []bus.ContactQueueState](ctx, k.bus, k.bus.Subject(Name, bus.VerbContactQueues), bus.Query{})
	must(t, err)
	if len(queues) != 1 || queues[0].Queue != "sales" || queues[0].Waiting != 1 || queues[0].LoggedIn != 1 || queues[0].Ready != 0 || queues[0].Offered != 1 || queues[0].Level != -1 {
		t.Errorf("%+v", queues)
	}
	contacts, err := bus.Ask[bus.Query, []bus.ContactState](ctx, k.bus, k.bus.Subject(Name, bus.VerbContacts), bus.Query{})
	must(t, err)
	if len(contacts) != 1 || contacts[0].Contact != "c1" || contacts[0].Phase != "waiting" || contacts[0].Queue != "sales" || contacts[0].GlobalID != "g" || contacts[0].Server != "n1" {
		t.Errorf("%+v", contacts)
	}
	status, err := bus.Ask[bus.StatusRequest, bus.ServiceStatus](ctx, k.bus, k.bus.Subject(Name, bus.VerbStatus), bus.StatusRequest{})
	must(t, err)
	if status.State != "ready" || status.Revision == 0 {
		t.Errorf("%+v", status)
	}
}
