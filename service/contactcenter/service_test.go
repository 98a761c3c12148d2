package contactcenter

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// siteText is the contact centre of these tests.
const siteText = `
nodes: [{name: n1}]
users: [{name: ann}, {name: bob}, {name: sue}]
contactCenters: [{name: cc, settle: 1s, lookupOrigins: ["ORIGIN"]}]
skills: [{name: sales}]
agentAttributes: [{name: language}]
teams: [{name: blue, supervisors: [sue], wrapUpTime: 1h}]
agents:
  - {name: ann, team: blue, number: "2001", skills: [{skill: sales, level: 7}], attributes: [{attribute: language, value: de}]}
  - {name: bob, team: blue, number: "2002", skills: [{skill: sales}]}
queues:
  - {name: sales, steps: [{where: 'sales >= 7 and language == de', wait: 1h}, {where: sales > 0}], announcement: [{text: 'You are number {position}, {tier}.'}]}
routingScripts:
  - name: sales
    nodes:
      - {name: look, do: lookup, url: 'ORIGIN/who?n={calling}', results: [{field: customer.tier, variable: tier}, {field: age, variable: age}], next: q, else: q}
      - {name: q, do: queue, queue: sales}
contactNumbers: [{number: "800", script: sales}]
`

// kit is a contact centre with a call server that the test plays.
type kit struct {
	t      testing.TB
	store  *store.Store
	bus    *bus.Bus
	s      *Service
	orders chan contact.Order
	seq    uint64
	ended  chan center.ContactRecord
	ahead  atomic.Int64 // of the real clock, nanoseconds
}

func newKit(t testing.TB) *kit {
	t.Helper()
	return newKitOn(t, filepath.Join(t.TempDir(), "s.db"))
}

// newKitOn is a kit on a store of its own.
func newKitOn(t testing.TB, dsn string) *kit {
	t.Helper()
	ctx := within(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/who" || r.URL.Query().Get("n") != "+49301" {
			http.Error(w, "who?", http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(`{"customer": {"tier": "gold"}, "age": 42}`))
	}))
	t.Cleanup(web.Close)
	k := &kit{t: t, orders: make(chan contact.Order, 16), ended: make(chan center.ContactRecord, 16)}
	var err error
	k.store, err = store.Open(ctx, dsn, store.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, k.store.Close()) })
	site, err := config.Parse("site.yaml", []byte(strings.ReplaceAll(siteText, "ORIGIN", web.URL)), nil)
	must(t, err)
	_, err = k.store.Apply(ctx, store.ChangeSet{Changes: config.Diff(nil, site)})
	must(t, err)
	k.bus, err = bus.Open(ctx, bus.Config{Node: "n1"})
	must(t, err)
	t.Cleanup(func() { must(t, k.bus.Close()) })
	serve, err := bus.Serve(k.bus, k.bus.Subject(contact.ServiceCallServer, contact.VerbOrder), func(_ context.Context, o contact.Order) (contact.TakenAnswer, error) {
		k.orders <- o
		return contact.TakenAnswer{Taken: contact.OrderTaken}, nil
	})
	must(t, err)
	t.Cleanup(serve.Close)
	k.begin()
	return k
}

// begin begins a life of the contact centre.
func (k *kit) begin() {
	k.t.Helper()
	var err error
	k.s, err = Start(within(k.t), Config{Node: "n1", Store: k.store, Bus: k.bus, Now: func() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }, Ended: func(r center.ContactRecord) { k.ended <- r }})
	must(k.t, err)
	s := k.s
	k.t.Cleanup(func() { must(k.t, s.Close(within(k.t))) })
	k.see("that it leads", func(p *Picture) bool { return p.Leads })
}

// see waits for a picture.
func (k *kit) see(what string, ok func(*Picture) bool) *Picture {
	k.t.Helper()
	ctx := within(k.t)
	for {
		p := k.s.Look()
		if ok(p) {
			return p
		}
		select {
		case <-p.Changed:
		case <-ctx.Done():
			k.t.Fatalf("waited in vain for %s: %+v", what, p)
		}
	}
}

func (k *kit) state(agent string, want center.State) {
	k.t.Helper()
	k.see(agent+" "+want.String(), func(p *Picture) bool {
		for _, a := range p.Agents {
			if a.Agent == agent {
				return a.State == want
			}
		}
		return false
	})
}

func (k *kit) ask(q contact.Query) contact.Label {
	k.t.Helper()
	q.Server, q.Began = "n1", time.Now()
	l, err := bus.Ask[contact.Query, contact.Label](within(k.t), k.bus, k.bus.Subject(contact.ServiceContactCenter, contact.VerbQuery), q)
	must(k.t, err)
	return l
}

func (k *kit) note(n contact.Note) {
	k.t.Helper()
	k.seq++
	n.Server, n.Life, n.Seq = "n1", 1, k.seq
	must(k.t, bus.Publish(k.bus, k.bus.Subject(contact.ServiceCallServer, contact.VerbNote), n))
}

func (k *kit) order() contact.Order {
	k.t.Helper()
	select {
	case o := <-k.orders:
		return o
	case <-time.After(30 * time.Second):
		k.t.Fatal("no order came")
		return contact.Order{}
	}
}

// record is the next record of a contact.
func (k *kit) record() center.ContactRecord {
	k.t.Helper()
	select {
	case r := <-k.ended:
		return r
	case <-time.After(30 * time.Second):
		k.t.Fatal("no record came")
		return center.ContactRecord{}
	}
}

// TestContact: a call waits with an announcement that knows what a lookup has brought, gets its agent by an order, and everything about it
// is in the picture and in the record.
func TestContact(t *testing.T) {
	k := newKit(t)
	l := k.ask(contact.Query{Call: "c1", Called: "800", Calling: "+49301", Reason: contact.New})
	if l.Kind != contact.Treat || l.Variables["tier"] != "gold" || l.Variables["age"] != "42" || l.Steps[0].Prompts[0].Text != "You are number 1, gold." {
		t.Fatalf("%+v", l)
	}
	ctx := within(t)
	var refused *Refusal
	if err := k.s.LogIn(ctx, "ann", "", "", "d1"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "no phone") {
		t.Fatalf("%v", err)
	}
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	o := k.order()
	if o.Call != "c1" || o.Label.Kind != contact.Connect || o.Label.Number != "2001" || o.Label.Serial != l.Serial+1 {
		t.Fatalf("%+v", o)
	}
	k.state("ann", center.Reserved)
	k.note(contact.Note{Call: "c1", Serial: o.Label.Serial, Kind: contact.NoteConnected, Number: "2001"})
	k.state("ann", center.Talking)
	k.note(contact.Note{Call: "c1", Kind: contact.NoteEnded, By: contact.ByCaller})
	k.state("ann", center.Work)
	if err := k.s.SetState(ctx, "ann", center.NotReady, "", "bob"); !errors.As(err, &refused) {
		t.Errorf("somebody who is no supervisor: %v", err)
	}
	must(t, k.s.SetState(ctx, "ann", center.NotReady, "", "sue"))
	if r := k.record(); r.Agent != "ann" || r.Disposition != center.Handled || r.Variables["tier"] != "gold" {
		t.Errorf("%+v", r)
	}
}

// TestFactGone: a call that waits is forgotten with its fact, and nobody stays reserved for it.
func TestFactGone(t *testing.T) {
	k := newKit(t)
	ctx := within(t)
	bus.Put(k.bus.Board(), contact.FactCall, "c1", contact.Standing{})
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	if l := k.ask(contact.Query{Call: "c1", Called: "800", Reason: contact.New}); l.Kind != contact.Connect { // it settles yet
		k.order()
	}
	k.state("ann", center.Reserved)
	k.bus.Board().Drop(contact.FactCall, "c1")
	k.state("ann", center.Ready)
}

// TestNewLife: another life finds the agents where they were, and the calls are told again: who talks talks, who waits stands where they
// stood.
func TestNewLife(t *testing.T) {
	k := newKit(t)
	ctx := within(t)
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	first := k.ask(contact.Query{Call: "c1", Called: "800", Reason: contact.New})
	k.note(contact.Note{Call: "c1", Serial: first.Serial, Kind: contact.NoteConnected, Number: "2001"})
	k.state("ann", center.Talking)
	second := k.ask(contact.Query{Call: "c2", Called: "800", Reason: contact.New})
	since := second.Variables["cc_since"]
	k.written("ann", center.Talking)
	was := router(t, k.bus)
	must(t, k.s.Close(ctx))
	if f := k.bus.Board().Of(contact.FactRouter, contact.RouterKey); len(f) != 0 {
		t.Errorf("%v still leads", f)
	}
	k.begin()
	if now := router(t, k.bus); now.Life == was.Life {
		t.Errorf("the new life has the number of the old one")
	}
	if l := k.ask(contact.Query{Call: "c1", Called: "800", Reason: contact.Again, State: contact.Connected, With: "2001", Label: first.Serial, Variables: first.Variables}); l.Kind != contact.Stay || l.Serial <= first.Serial {
		t.Errorf("%+v", l)
	}
	if l := k.ask(contact.Query{Call: "c2", Called: "800", Reason: contact.Again, State: contact.Treated, Label: second.Serial, Variables: second.Variables}); l.Kind != contact.Treat {
		t.Errorf("%+v", l)
	}
	k.state("ann", center.Talking)
	p := k.see("the one who waits", func(p *Picture) bool { return len(p.Contacts) == 2 })
	for _, c := range p.Contacts {
		if c.Call == "c2" && (c.Phase != center.Waiting || since != "" && time.Since(c.Since) < 0) {
			t.Errorf("%+v", c)
		}
	}
	k.note(contact.Note{Call: "c1", Kind: contact.NoteEnded})
	k.state("ann", center.Work)
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	if o := k.order(); o.Call != "c2" || o.Label.Number != "2001" {
		t.Errorf("%+v", o)
	}
}

func router(t testing.TB, b *bus.Bus) contact.Router {
	t.Helper()
	facts := b.Board().Of(contact.FactRouter, contact.RouterKey)
	if len(facts) != 1 {
		t.Fatalf("%d contact centres lead", len(facts))
	}
	r, err := bus.Value[contact.Router](facts[0])
	must(t, err)
	return r
}

// written waits until the store has the state of an agent.
func (k *kit) written(agent string, want center.State) {
	k.t.Helper()
	k.writtenAs(agent, func(a center.AgentRecord) bool { return a.State == want })
}

// writtenAs waits until the store has an agent as it should be.
func (k *kit) writtenAs(agent string, ok func(center.AgentRecord) bool) {
	k.t.Helper()
	ctx := within(k.t)
	changes := k.s.docs.Watch(ctx)
	for {
		r, err := (&leader{s: k.s, term: ctx}).load()
		must(k.t, err)
		for _, a := range r.Agents {
			if a.Agent == agent && ok(a) {
				return
			}
		}
		select {
		case <-changes:
		case <-ctx.Done():
			k.t.Fatalf("%s was never written so: %+v", agent, r)
		}
	}
}
