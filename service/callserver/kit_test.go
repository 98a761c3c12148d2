package callserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/vxml"
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

// records is a store of one site.
type records struct {
	mu      sync.Mutex
	site    *config.Site
	number  int64
	changes chan store.Snapshot
}

func (r *records) snapshot() store.Snapshot {
	return store.Snapshot{Revision: store.Revision{Number: r.number}, Site: r.site.Clone()}
}

func (r *records) Site(context.Context) (store.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshot(), nil
}

func (r *records) Watch(context.Context) <-chan store.Snapshot { return r.changes }

// change edits the site and tells the service.
func (r *records) change(edit func(*config.Site)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	edit(r.site)
	r.number++
	r.changes <- r.snapshot()
}

// centre is a contact centre on the bus whose answers the test gives.
type centre struct {
	t       testing.TB
	b       *bus.Bus
	queries chan asked
	notes   *bus.Subscription[contact.Note]
	serve   *bus.Responder
	seq     uint64
}

// asked is a question that waits for its answer.
type asked struct {
	contact.Query
	answer chan contact.Label // closed: an error
}

func newCentre(t testing.TB, b *bus.Bus) *centre {
	t.Helper()
	c := &centre{t: t, b: b, queries: make(chan asked, 64)}
	var err error
	c.notes, err = bus.Subscribe[contact.Note](b, b.Subject(Name, contact.VerbNote), 1024)
	must(t, err)
	t.Cleanup(c.notes.Close)
	c.lead(1)
	return c
}

// lead begins a life in which the centre leads and answers.
func (c *centre) lead(life uint64) {
	c.t.Helper()
	var err error
	c.serve, err = bus.Serve(c.b, c.b.Subject(contact.ServiceContactCenter, contact.VerbQuery), func(ctx context.Context, q contact.Query) (contact.Label, error) {
		a := asked{q, make(chan contact.Label, 1)}
		c.queries <- a
		select {
		case l, ok := <-a.answer:
			if !ok {
				return l, errors.New("no idea")
			}
			return l, nil
		case <-ctx.Done():
			return contact.Label{}, ctx.Err()
		}
	})
	must(c.t, err)
	bus.Put(c.b.Board(), contact.FactRouter, contact.RouterKey, contact.Router{Node: c.b.Node(), Life: life})
}

// die ends it, without a word.
func (c *centre) die() {
	c.b.Board().Drop(contact.FactRouter, contact.RouterKey)
	c.serve.Close()
}

// query waits for a question with that reason.
func (c *centre) query(ctx context.Context, reason contact.Reason) asked {
	c.t.Helper()
	for {
		select {
		case q := <-c.queries:
			if q.Reason == reason {
				return q
			}
			c.t.Fatalf("asked %s (%s, label %d, with %q), expected %s", q.Reason, q.Cause, q.Label, q.With, reason)
		case <-ctx.Done():
			c.t.Fatalf("nobody asks with the reason %s", reason)
		}
	}
}

// note waits for a note of that kind, and that the ones between have no gap.
func (c *centre) note(ctx context.Context, kind contact.NoteKind) contact.Note {
	c.t.Helper()
	select {
	case m := <-c.notes.C():
		if c.seq++; m.Value.Seq != c.seq {
			c.t.Fatalf("note %d, expected %d", m.Value.Seq, c.seq)
		}
		if m.Value.Kind != kind {
			c.t.Fatalf("the note %s of label %d (%s, by %s), expected %s", m.Value.Kind, m.Value.Serial, m.Value.Cause, m.Value.By, kind)
		}
		return m.Value
	case <-ctx.Done():
		c.t.Fatalf("nobody notes %s", kind)
	}
	return contact.Note{}
}

func (c *centre) order(ctx context.Context, q contact.Query, l contact.Label) contact.TakenAnswer {
	c.t.Helper()
	a, err := bus.Ask[contact.Order, contact.TakenAnswer](ctx, c.b, c.b.Subject(Name, contact.VerbOrder).To(q.Server), contact.Order{Call: q.Call, Label: l})
	must(c.t, err)
	return a
}

// browser is a voice browser that fetches documents and tells the test, which says what callers enter.
type browser struct {
	t        testing.TB
	el       *element.Element
	addr     netip.Addr
	identity *pki.Identity
	sessions chan *session
}

// session is a caller at the browser.
type session struct {
	t    testing.TB
	b    *browser
	url  *url.URL
	doc  *vxml.Element
	ctx  context.Context
	end  context.CancelFunc
	http *http.Client
}

func startBrowser(t testing.TB, ca *elementtest.Authority, server netip.Addr) *browser {
	b := &browser{t: t, sessions: make(chan *session, 64)}
	b.el, b.addr, b.identity = startElement(t, ca, "voicebrowser", b)
	must(t, b.el.Configure(call.Site{Applets: []call.Applet{{Name: "vb", Driver: element.DriverApplet}},
		Plan: toApplet("!", "vb", "dialog")}, []element.Peer{{Name: "cvp", Subjects: []string{"callserver.test"},
		Destinations: []element.Destination{{Address: server.String()}}, Trunk: call.Trunk{SearchSpace: "all"}}}))
	return b
}

// toApplet leads every number to an applet; called is a user part that is none.
func toApplet(digits, name, called string) dialplan.Rules {
	return dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"all"}}},
		Patterns: []dialplan.Pattern{{Digits: digits, Partition: "all", Kind: dialplan.ToApplet, To: name}}}
}

// Arrival implements element.Policy.
func (b *browser) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	return element.Arrival{Peer: in.Peer, Called: "1"}, in.Refused
}

// Program implements element.Policy.
func (b *browser) Program(string) applet.Program {
	return func(ctx context.Context, a *applet.Session) error {
		u, err := url.Parse(strings.TrimPrefix(a.Info().Parameters, ";voicexml="))
		if err != nil {
			return err
		}
		s := &session{t: b.t, b: b, url: u, http: b.client()}
		s.ctx, s.end = context.WithCancel(ctx)
		defer s.end()
		if s.doc, err = s.fetch(http.MethodGet, nil); err != nil {
			b.t.Logf("the voice browser, called with %q: %v", a.Info().Parameters, err)
			return err
		}
		if err := a.Answer(ctx); err != nil {
			return err
		}
		b.sessions <- s
		return a.Play(s.ctx, tone.NewSine(700, -16))
	}
}

func (b *browser) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: b.identity.ClientConfig(pki.ClientPolicy{Peer: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService), Names: pki.Names{Subjects: []string{"callserver.test"}}}})}}
}

func (s *session) fetch(method string, form url.Values) (*vxml.Element, error) {
	body := io.Reader(nil)
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(s.ctx), method, s.url.String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s %v", method, s.url, answer.Status, text, err)
	}
	return vxml.ParseDocument(text)
}

// says says whether the document has that text.
func (s *session) says(text string) bool { return has(s.doc, text) }

func has(e *vxml.Element, text string) bool {
	for _, n := range e.Children {
		if n.Element != nil && has(n.Element, text) || strings.Contains(n.Text, text) {
			return true
		}
	}
	for _, a := range e.Attributes {
		if strings.Contains(a.Value, text) {
			return true
		}
	}
	return false
}

// submit comes to the end of the document, and has the next one afterwards.
func (s *session) submit(values url.Values) {
	s.t.Helper()
	next, err := url.Parse(find(s.doc, "submit").Attr("next"))
	must(s.t, err)
	s.url = s.url.ResolveReference(next)
	values.Set("done", "yes")
	s.doc, err = s.fetch(http.MethodPost, values)
	must(s.t, err)
}

func find(e *vxml.Element, name string) *vxml.Element {
	for _, n := range e.Children {
		if n.Element == nil {
			continue
		}
		if n.Element.Name == name {
			return n.Element
		}
		if x := find(n.Element, name); x != nil {
			return x
		}
	}
	return nil
}

// session waits for a caller at the browser.
func (b *browser) session(ctx context.Context) *session {
	b.t.Helper()
	select {
	case s := <-b.sessions:
		return s
	case <-ctx.Done():
		b.t.Fatal("no caller comes to the voice browser")
	}
	return nil
}

// cucm is a call manager with agents: applets by number.
type cucm struct {
	agents chan *agent
}

// agent is a phone that rings.
type agent struct {
	info   applet.Info
	answer chan call.Cause // CauseNone answers
	hangup context.CancelFunc
	gone   <-chan struct{} // closed when the phone has no call any more
	ear    *ear
}

// supervisor is a number whose phone says 1 kHz; all others say 440 Hz.
const supervisor = "2009"

// ear keeps the newest quarter second that was heard.
type ear struct {
	mu    sync.Mutex
	pcm   []int16
	heard chan struct{}
}

// WritePCM implements media.Sink.
func (e *ear) WritePCM(src []int16) error {
	e.mu.Lock()
	e.pcm = append(e.pcm, src...)
	e.pcm = e.pcm[max(0, len(e.pcm)-media.Rate/4):]
	e.mu.Unlock()
	select {
	case e.heard <- struct{}{}:
	default:
	}
	return nil
}

// hears waits until the agent has heard all of some tones at once and none of others for a quarter second.
func (a *agent) hears(ctx context.Context, t testing.TB, tones []float64, not ...float64) {
	t.Helper()
	var last []int16
	sounds := func(hz float64) bool { return tone.Level(last, hz) > -35 }
	for {
		select {
		case <-a.ear.heard:
		case <-ctx.Done():
			for _, hz := range append(tones, not...) {
				t.Logf("%v Hz at %.1f dBm0", hz, tone.Level(last, hz))
			}
			t.Fatalf("the phone of %s does not hear %v without %v", a.info.Called, tones, not)
		}
		a.ear.mu.Lock()
		last = append(last[:0], a.ear.pcm...)
		a.ear.mu.Unlock()
		if len(last) == media.Rate/4 && !slices.ContainsFunc(tones, func(hz float64) bool { return !sounds(hz) }) && !slices.ContainsFunc(not, sounds) {
			return
		}
	}
}

func (c *cucm) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	return element.Arrival{Peer: in.Peer}, in.Refused
}

// Program implements element.Policy: it rings until the test says what the agent does, listens, and plays its tone.
func (c *cucm) Program(string) applet.Program {
	return func(ctx context.Context, s *applet.Session) error {
		talk, hangup := context.WithCancel(ctx)
		defer hangup()
		a := &agent{info: s.Info(), answer: make(chan call.Cause, 1), hangup: hangup, gone: ctx.Done(), ear: &ear{heard: make(chan struct{}, 1)}}
		if err := s.Ring(ctx); err != nil {
			return err
		}
		c.agents <- a
		select {
		case cause := <-a.answer:
			if cause != call.CauseNone {
				return &applet.Refused{Cause: cause}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.Answer(ctx); err != nil {
			return err
		}
		s.Hear(a.ear)
		hz := 440.0
		if a.info.Called == supervisor {
			hz = 1000
		}
		err := s.Play(talk, tone.NewSine(hz, -16))
		if ctx.Err() == nil {
			return nil
		}
		return err
	}
}

func (s *stand) agent(ctx context.Context) *agent {
	s.t.Helper()
	select {
	case a := <-s.cucm.agents:
		return a
	case <-ctx.Done():
		s.t.Fatal("no agent's phone rings")
	}
	return nil
}

func startElement(t testing.TB, ca *elementtest.Authority, service string, p element.Policy) (*element.Element, netip.Addr, *pki.Identity) {
	t.Helper()
	addr := elementtest.Address(t)
	id := ca.Identity(service, service+".test", []netip.Addr{addr})
	e, err := element.Start(t.Context(), element.Config{Service: service, Node: "n1", Version: "test", Domain: service + ".test", Addresses: []netip.Addr{addr}, Identity: id, Policy: p})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.Close(ctx)
	})
	return e, addr, id
}

// stand is a call server with everything around it.
type stand struct {
	t       testing.TB
	ca      *elementtest.Authority
	bus     *bus.Bus
	addr    netip.Addr
	records *records
	service *Service
	centre  *centre
	vb      *browser
	cucm    *cucm
	manager *element.Element
}

func newStand(t testing.TB, edit func(*config.Site)) *stand {
	t.Helper()
	if p, ok := t.(*testing.T); ok {
		p.Parallel() // every stand has addresses of its own, and its tests wait most of the time
	}
	s := &stand{t: t, ca: elementtest.NewAuthority(t), addr: elementtest.Address(t), cucm: &cucm{agents: make(chan *agent, 64)}}
	var err error
	s.bus, err = bus.Open(t.Context(), bus.Config{Node: "n1", Cluster: "c"})
	must(t, err)
	t.Cleanup(func() { _ = s.bus.Close() })
	s.vb = startBrowser(t, s.ca, s.addr)
	manager, at, _ := startElement(t, s.ca, "callmanager", s.cucm)
	s.manager = manager
	must(t, manager.Configure(call.Site{Applets: []call.Applet{{Name: "agent", Driver: element.DriverApplet}}, Plan: toApplet("!", "agent", "")},
		[]element.Peer{{Name: "cvp", Subjects: []string{"callserver.test"}, Destinations: []element.Destination{{Address: s.addr.String()}}, Trunk: call.Trunk{SearchSpace: "all"}}}))
	site := &config.Site{
		SIPServerGroups: []config.SIPServerGroup{
			{Name: "cube", Members: []config.ServerGroupMember{{Address: "127.0.0.1"}}, AcceptedSubjects: []string{"cube.test"}, Heartbeat: config.OptionsPing{Disabled: true}},
			{Name: "vvb", Members: []config.ServerGroupMember{{Address: s.vb.addr.String()}}, AcceptedSubjects: []string{"voicebrowser.test"}},
			{Name: "cucm", Members: []config.ServerGroupMember{{Address: at.String()}}, AcceptedSubjects: []string{"callmanager.test"}},
		},
		CallRoutes: []config.CallRoute{{Pattern: "2XXX", Group: "cucm"}},
		CallServers: []config.CallServer{{Name: "cs", VoiceBrowsers: "vvb", RouterTimeout: config.Duration(500 * time.Millisecond), RouterRetry: config.Duration(time.Second),
			SurvivalText: "We have a problem"}},
	}
	if edit != nil {
		edit(site)
	}
	s.records = &records{site: site, number: 1, changes: make(chan store.Snapshot, 16)}
	s.centre = newCentre(t, s.bus)
	s.service, err = Start(t.Context(), Config{Node: "n1", Version: "test", Addresses: []netip.Addr{s.addr}, Folder: t.TempDir(), Store: s.records, Bus: s.bus,
		Identity: s.ca.Identity(Name, "callserver.test", []netip.Addr{s.addr})})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.service.Close(ctx)
	})
	return s
}

// call calls a number as somebody outside, through the border.
func (s *stand) call(ctx context.Context, number string) *phone.Call {
	s.t.Helper()
	p, err := phone.Start(ctx, phone.Config{Number: "4711", Server: netip.AddrPortFrom(s.addr, 5061).String(), ServerName: s.addr.String(),
		Certificate: s.ca.Peer("cube.test"), Roots: s.ca.Roots(), NoRegister: true})
	must(s.t, err)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	c, err := p.Dial(ctx, number)
	must(s.t, err)
	return c
}

func hears(ctx context.Context, t testing.TB, c *phone.Call, hz float64) {
	t.Helper()
	if got, err := c.WaitTone(ctx, hz); err != nil {
		t.Fatalf("expected %v Hz, heard %v Hz: %v; %+v", hz, got, err, c.Evidence())
	}
}
