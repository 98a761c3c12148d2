package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/wire/secret"
)

// floor is who has the agents, in these tests: it notes what is asked and shows a picture that the test changes.
type floor struct {
	mu      sync.Mutex
	asked   []string
	refuse  error
	now     *View
	changed chan struct{}
}

func (f *floor) ask(words ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.Join(words, " "))
	return f.refuse
}

func (f *floor) LogIn(_ context.Context, agent, device, number, session string) error {
	if session == "" {
		return errors.New("no session")
	}
	return f.ask("log-in", agent, device, number)
}

func (f *floor) SetState(_ context.Context, agent, state, reason, by string) error {
	return f.ask("state", agent, state, reason, by)
}

func (f *floor) Attached(agent, _ string, there bool) {
	f.ask("attached", agent, map[bool]string{true: "there", false: "gone"}[there])
}

func (f *floor) SetVariables(_ context.Context, agent, contact string, v map[string]string) error {
	return f.ask("variables", agent, contact, v["k"])
}

func (f *floor) WrapUp(_ context.Context, agent, contact string, reasons []string, note string) error {
	return f.ask("wrap-up", agent, contact, strings.Join(reasons, ","), note)
}

func (f *floor) Join(_ context.Context, supervisor, agent, mode string) error {
	return f.ask("join", supervisor, agent, mode)
}

func (f *floor) Look() (*View, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.changed
}

func (f *floor) show(v *View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.now, f.changed = v, make(chan struct{})
}

// said takes what was asked since.
func (f *floor) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.asked, "; ")
	f.asked = nil
	return out
}

type keys struct{ last phones.Command }

func (k *keys) Do(_ context.Context, c phones.Command) error {
	k.last = c
	if c.Key == phones.Hold {
		return &phones.WrongMoment{Key: c.Key, Device: c.Device}
	}
	return nil
}

type kept map[string]Session

func (k kept) Load(context.Context) (map[string]Session, error)    { return maps.Clone(k), nil }
func (k kept) Keep(_ context.Context, key string, s Session) error { k[key] = s; return nil }
func (k kept) Forget(_ context.Context, key string) error          { delete(k, key); return nil }
func picture(rev uint64, agents []Agent, queues []Queue, c []Contact) *View { // of one team with a supervisor
	for i := range agents {
		agents[i].Rev = rev
	}
	return NewView(agents, queues, c, map[string][]string{"red": {"sue"}})
}

var agents = []Agent{{Name: "ann", Team: "red", State: "talking", Device: "SEPA", Number: "2001", Contact: "c1"}, {Name: "bea", Team: "red", State: "talking", Device: "SEPB", Contact: "c2"},
	{Name: "cid", Team: "blue", State: "ready"}}

// desktop is a client of the API.
type desktop struct {
	t     *testing.T
	url   string
	token string
}

// do asks for something; want is the status it should have.
func (d *desktop) do(method, path, body string, want int) string {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, res.Body); err != nil {
		d.t.Fatal(err)
	}
	if res.StatusCode != want {
		d.t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, res.StatusCode, want, b.String())
	}
	return b.String()
}

func (d *desktop) logIn(user string) {
	d.t.Helper()
	var a loginAnswer
	if err := json.Unmarshal([]byte(d.do("POST", "/v1/session", `{"user":"`+user+`","password":"right"}`, 200)), &a); err != nil || a.Token == "" {
		d.t.Fatal(err, a)
	}
	d.token = a.Token
}

// serve is a server with a floor of three agents.
func serve(t *testing.T, sessions kept, now func() time.Time) (*floor, *keys, *desktop) {
	t.Helper()
	f := &floor{now: picture(1, append([]Agent{}, agents...), []Queue{{Name: "sales", Rev: 1}}, []Contact{{ID: "c1", Agent: "ann", Rev: 1}, {ID: "c2", Agent: "bea", Rev: 1}, {ID: "c3", Rev: 1}}), changed: make(chan struct{})}
	k := &keys{}
	s, err := newServer(t.Context(), Config{Floor: f, Phones: k, Sessions: sessions, Now: now, Login: func(_ context.Context, user string, password secret.Text, _ string) (string, error) {
		if password.Reveal() != "right" {
			return "", errors.New("the name or the password is wrong")
		}
		return user, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() { s.cancel(); h.Close() })
	return f, k, &desktop{t: t, url: h.URL}
}

func TestAgent(t *testing.T) {
	f, k, d := serve(t, kept{}, time.Now)
	d.do("GET", "/v1/agents/me", "", 401) // without a token at all
	d.token = "guessed"
	d.do("GET", "/v1/agents/me", "", 401)
	d.token = ""
	d.do("POST", "/v1/session", `{"user":"ann","password":"wrong"}`, 401)
	d.do("POST", "/v1/session", `{"user":"nobody","password":"right"}`, 403)
	if said := f.said(); said != "" {
		t.Errorf("asked of the floor before anybody was known: %s", said)
	}
	d.logIn("ann")
	for _, c := range []struct {
		method, path, body string
		status             int
		said               string
	}{
		{"GET", "/v1/agents/me", "", 200, ""},
		{"PUT", "/v1/agents/me/state", `{"state":"ready"}`, 204, "state ann ready  "},
		{"PUT", "/v1/agents/me/state", `{"state":"not-ready","reason":"lunch"}`, 204, "state ann not-ready lunch "},
		{"PUT", "/v1/agents/me/state", `{"state":"asleep"}`, 422, ""},
		{"PUT", "/v1/agents/bea/state", `{"state":"ready"}`, 403, ""},
		{"POST", "/v1/agents/bea/join", `{"mode":"listen"}`, 403, ""},
		{"POST", "/v1/agents/me/phone", `{"action":"answer"}`, 204, ""},
		{"POST", "/v1/agents/me/phone", `{"action":"hold"}`, 409, ""},
		{"POST", "/v1/agents/me/phone", `{"action":"explode"}`, 422, ""},
		{"PUT", "/v1/contacts/c1/variables", `{"variables":{"k":"v"}}`, 204, "variables ann c1 v"},
		{"PUT", "/v1/contacts/c1/wrap-up", `{"reasons":["sale"],"note":"two"}`, 204, "wrap-up ann c1 sale two"},
		{"DELETE", "/v1/session", "", 204, "state ann logged-out  "},
		{"GET", "/v1/agents/me", "", 401, ""},
	} {
		f.said()
		d.do(c.method, c.path, c.body, c.status)
		if said := f.said(); said != c.said {
			t.Errorf("%s %s %s asked %q of the floor, want %q", c.method, c.path, c.body, said, c.said)
		}
	}
	if k.last.Device != "SEPA" {
		t.Errorf("keys were pressed at %q", k.last.Device)
	}
	f.refuse = &Refused{"the phone is not registered"}
	d.token = ""
	if text := d.do("POST", "/v1/session", `{"user":"ann","password":"right"}`, 409); !strings.Contains(text, "the phone is not registered") {
		t.Error(text)
	}
}

func TestSupervisor(t *testing.T) {
	f, _, d := serve(t, kept{}, time.Now)
	d.logIn("sue") // who is no agent
	d.do("PUT", "/v1/agents/ann/state", `{"state":"not-ready","reason":"meeting"}`, 204)
	d.do("POST", "/v1/agents/ann/join", `{"mode":"barge"}`, 204)
	d.do("PUT", "/v1/agents/cid/state", `{"state":"not-ready"}`, 403)
	d.do("GET", "/v1/agents/me", "", 404)
	if said := f.said(); said != "state ann not-ready meeting sue; join sue ann barge" {
		t.Error(said)
	}
}

// TestSeen: an agent sees its team, and of others neither phones nor contacts.
func TestSeen(t *testing.T) {
	phone := &phones.Phone{Device: "SEPB"}
	list := append([]Agent{}, agents...)
	list[1].Phone = phone
	v := picture(1, list, nil, []Contact{{ID: "c1", Agent: "ann"}, {ID: "c2", Agent: "bea"}, {ID: "c3"}})
	for _, c := range []struct{ who, agents, contacts string }{{"ann", "ann bea", "c1"}, {"bea", "ann bea+", "c2"}, {"sue", "ann bea+", "c1 c2"}, {"cid", "cid", ""}, {"eve", "", ""}} {
		var a, k []string
		seen := v.seenBy(c.who)
		for _, x := range seen.Agents {
			if x.Phone != nil {
				x.Name += "+"
			}
			a = append(a, x.Name)
		}
		for _, x := range seen.Contacts {
			k = append(k, x.ID)
		}
		if strings.Join(a, " ") != c.agents || strings.Join(k, " ") != c.contacts {
			t.Errorf("%s sees %v and %v", c.who, a, k)
		}
	}
}

func TestEvents(t *testing.T) {
	f, _, d := serve(t, kept{}, time.Now)
	d.logIn("ann")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	at := "ws" + strings.TrimPrefix(d.url, "http") + "/v1/events"
	if _, res, err := websocket.Dial(ctx, at, nil); err == nil || res.StatusCode != 401 {
		t.Fatal("the events are told to anybody")
	}
	c, _, err := websocket.Dial(ctx, at, &websocket.DialOptions{Subprotocols: []string{"bearer", d.token}}) // as a browser does
	if err != nil {
		t.Fatal(err)
	}
	next := func() (e Event) {
		t.Helper()
		_, b, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := next(); e.Kind != "view" || len(e.Agents) != 2 || len(e.Contacts) != 1 || len(e.Queues) != 1 {
		t.Fatalf("%+v", e)
	}
	list := append([]Agent{}, agents...)
	list[0].State, list[0].Contact = "work", ""
	v := picture(1, list, []Queue{{Name: "sales", Rev: 1}}, nil)
	v.Agents[0].Rev = 2
	f.show(v)
	if e := next(); e.Kind != "changed" || len(e.Agents) != 1 || e.Agents[0].State != "work" || len(e.Gone) != 1 || e.Gone[0] != "c1" || len(e.Queues) != 0 {
		t.Fatalf("%+v", e)
	}
	c.Close(websocket.StatusNormalClosure, "")
	for said := ""; !strings.Contains(said, "attached ann gone"); {
		if said += f.said(); ctx.Err() != nil {
			t.Fatal("nobody was told that the desktop has gone: " + said)
		}
		runtime.Gosched() // the handler ends by itself
	}
}

// TestSessionsStay: tokens outlive the process, not their time, and are kept as digests alone.
func TestSessionsStay(t *testing.T) {
	clock := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	now := func() time.Time { return clock }
	book := kept{}
	_, _, d := serve(t, book, now)
	d.logIn("ann")
	for key := range book {
		if strings.Contains(key, d.token) {
			t.Error("the token is kept as it is")
		}
	}
	_, _, again := serve(t, book, now)
	again.token = d.token
	again.do("GET", "/v1/agents/me", "", 200)
	clock = clock.Add(sessionLife)
	again.do("GET", "/v1/agents/me", "", 401)
	serve(t, book, now)
	if len(book) != 0 {
		t.Errorf("sessions that are over are kept: %v", book)
	}
}
