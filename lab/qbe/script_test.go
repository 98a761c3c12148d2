package qbe_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/qbe"
	"github.com/locktone/locktone/wire/ctiqbe"
)

var update = flag.Bool("update", false, "rewrite the golden sequences with what the CTI manager says now")

// TestControl: every feature by scripts, on a whole site with phones that talk only through the wire. Above the line of a block stands what
// phones and the application do, below it what the application is told: the responses to its requests, then the events of each line in
// their order.
func TestControl(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			runScript(t, f)
		})
	}
}

const password = "application-1"

// theSite is the site of the scripts: alice to dave at 1001 to 1004, all encrypted, and the application that may control them.
func theSite() *config.Site {
	c := config.Default("node1")
	for i, name := range []string{"carol", "dave"} {
		number := strconv.Itoa(1003 + i)
		c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal", PickupGroup: "everybody"})
		c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	}
	c.Users = append(c.Users, config.User{Name: "app", Application: true, Password: config.NewVerifier(password), Devices: []string{"alice", "bob", "carol", "dave"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTICallPark}})
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceCTIManager, Clear: true}}
	return c.Canonical()
}

var numbers = map[string]string{"1001": "alice", "1002": "bob", "1003": "carol", "1004": "dave"}

// A stage is where a script plays.
type stage struct {
	t      *testing.T
	ctx    context.Context
	site   *lab.Site
	client *qbe.Client
	lines  map[string]qbe.Line
	names  *qbe.Names
	phones map[string]*desk
	read   int // messages of the client that were looked at
	tags   map[string][2]uint32
}

// A desk is a phone and its calls, the newest last.
type desk struct {
	*phone.Phone
	mu    sync.Mutex
	calls []*phone.Call
	news  chan struct{}
}

func (d *desk) add(c *phone.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, c)
	close(d.news)
	d.news = make(chan struct{})
}

// newest is the call that came last, over or not.
func (d *desk) newest() *phone.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[len(d.calls)-1]
}

// call waits for the n-th call from the end, 1 the newest, that is not over.
func (d *desk) call(ctx context.Context, n int) (*phone.Call, error) {
	for {
		d.mu.Lock()
		news := d.news
		alive := slices.DeleteFunc(slices.Clone(d.calls), func(c *phone.Call) bool { return c.State() == phone.Ended })
		d.mu.Unlock()
		if len(alive) >= n {
			return alive[len(alive)-n], nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has no call", d.Name())
		}
	}
}

func newStage(t *testing.T, edit func(*config.Site)) *stage {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := theSite()
	if edit != nil {
		edit(c)
	}
	site, err := lab.Start(ctx, lab.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		_ = site.Close(end) // what a test has found was said before
	})
	return &stage{t: t, ctx: ctx, site: site, lines: map[string]qbe.Line{}, names: qbe.NewNames(), phones: map[string]*desk{}, tags: map[string][2]uint32{}}
}

func (s *stage) login(user string) *qbe.Client {
	s.t.Helper()
	c, err := qbe.Login(s.ctx, qbe.Config{Address: s.clear(), User: user, Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// clear is the address of the CTI manager without TLS.
func (s *stage) clear() string {
	for _, a := range s.site.CTI.Addresses() {
		if kind, addr, _ := strings.Cut(a, " "); kind == "tcp" {
			return addr
		}
	}
	s.t.Fatal("the CTI manager does not listen in the clear")
	return net.JoinHostPort("", "")
}

// phone starts the phone of a number. It answers by itself what asks for it.
func (s *stage) phone(number string) {
	s.t.Helper()
	p, err := s.site.Phone(s.ctx, numbers[number], number, func(c *phone.Config) { c.Intercom = true })
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		end, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer stop()
		_ = p.Close(end)
	})
	if err := p.WaitRegistered(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	d := &desk{Phone: p, news: make(chan struct{})}
	s.phones[number] = d
	go func() {
		for {
			select {
			case c := <-p.Incoming():
				d.add(c)
			case <-s.ctx.Done():
				return
			}
		}
	}()
}

// observe opens the lines of numbers.
func (s *stage) observe(all ...string) {
	s.t.Helper()
	s.client = s.login("app")
	var lines []qbe.Line
	for _, n := range all {
		l, err := s.client.Open(s.ctx, numbers[n], n)
		if err != nil {
			s.t.Fatal(err)
		}
		s.lines[n] = l
		lines = append(lines, l)
	}
	s.names = qbe.NewNames(lines...)
	s.read = len(s.client.Said())
}

func runScript(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var s *stage
	for i, block := range strings.Split(strings.TrimSpace(string(b)), "\n\n") {
		input, want, _ := strings.Cut(block+"\n", "----\n")
		if s == nil {
			s = newStage(t, nil)
		}
		got := s.play(input, strings.Split(strings.TrimSpace(want), "\n"))
		fmt.Fprintf(&out, "%s----\n%s\n", input, got)
		if got = strings.TrimSpace(got); got != strings.TrimSpace(want) && !*update {
			t.Fatalf("block %d of %s (go test -update writes it):\n%s\nwant:\n%s\n\ngot:\n%s", i+1, file, input, want, got)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimSpace(out.String())+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// quiet is how long nothing must be said, when a script is written, for a block to be over.
const quiet = 700 * time.Millisecond

// play does what a block says and returns what the application was told.
func (s *stage) play(input string, want []string) string {
	var responses []string
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if r := s.step(f); r != "" {
			responses = append(responses, "> "+r)
		}
	}
	if s.client == nil {
		return ""
	}
	events := len(want) - len(responses)
	if want[0] == "" {
		events = 0
	}
	if *update {
		for n := -1; n != len(s.client.Said()); time.Sleep(quiet) { // a person reads what is written
			n = len(s.client.Said())
		}
	} else if events > 0 {
		ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
		defer cancel()
		_ = s.client.WaitSaid(ctx, s.read+events) // what is missing shows
	}
	return strings.Join(append(responses, s.said()...), "\n") + "\n"
}

// said is what the application was told since, line by line.
func (s *stage) said() []string {
	all := s.client.Said()
	byLine := map[string][]string{}
	for _, m := range all[s.read:] {
		s.names.Learn(m)
		line, text := s.names.Text(m)
		if _, ends := m.(*ctiqbe.CallPlayDTMFCompleteEvent); ends { // it belongs to the request, and comes by another way than what the engine tells
			line = ""
		}
		byLine[line] = append(byLine[line], strings.TrimSpace(line+" "+text))
	}
	s.read = len(all)
	var out []string
	for _, line := range append([]string{""}, "1001", "1002", "1003", "1004") {
		out = append(out, byLine[line]...)
	}
	return out
}

// step does one thing; what comes back is the text of the response to a request.
func (s *stage) step(f []string) string {
	s.t.Helper()
	switch f[0] {
	case "phones":
		for _, n := range f[1:] {
			s.phone(n)
		}
	case "observe":
		s.observe(f[1:]...)
	case "phone":
		if err := s.person(s.phones[f[1]], f[2:]); err != nil {
			s.t.Fatalf("%s: %v", strings.Join(f, " "), err)
		}
	case "app":
		m, err := s.request(f[1:])
		if err != nil {
			s.t.Fatalf("%s: %v", strings.Join(f, " "), err)
		}
		r, err := s.client.Ask(s.ctx, m)
		if err != nil {
			s.t.Fatalf("%s: %v", strings.Join(f, " "), err)
		}
		if g, ok := r.(*ctiqbe.ProviderAllocateGlobalCallHandleResponse); ok {
			s.tags[f[2]] = [2]uint32{g.CallManagerID, g.CallID}
		}
		s.names.Learn(r)
		_, text := s.names.Text(r)
		return text
	default:
		s.t.Fatalf("nobody knows how to %s", f[0])
	}
	return ""
}

// person does what a person does at a phone.
func (s *stage) person(d *desk, f []string) error {
	if d == nil {
		return fmt.Errorf("there is no such phone")
	}
	if f[0] == "dials" {
		c, err := d.Dial(s.ctx, f[1])
		if err == nil {
			d.add(c)
		}
		return err
	}
	if f[0] == "ended" {
		_, _, err := d.newest().WaitEnded(s.ctx)
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	nth := 1
	if len(f) > 1 && f[1] == "second" {
		nth = 2
	}
	c, err := d.call(ctx, nth)
	if err != nil {
		return err
	}
	switch f[0] {
	case "answers":
		return c.Answer(ctx)
	case "hangs-up":
		return c.Hangup(ctx)
	case "rejects":
		c.Reject(486)
	case "holds":
		return c.Hold(ctx)
	case "resumes":
		return c.Resume(ctx)
	case "hears":
		return c.WaitDigits(ctx, f[1])
	case "talks":
		return c.WaitAnswered(ctx)
	case "transfers":
		_, err := c.Transfer(ctx, f[1])
		return err
	default:
		return fmt.Errorf("no phone does that")
	}
	return nil
}
