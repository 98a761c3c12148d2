package center

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/contact/expression"
	"github.com/locktone/locktone/dialplan"
)

var update = flag.Bool("update", false, "rewrite the golden scripts and docs/agent-states.* with what the code does now")

// start is when every script begins: a Monday.
var start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// office is the site of the scripts: two agents for sales and one for both languages of help.
func office(t testing.TB) *Site {
	x := func(s string) *expression.Expression {
		e, err := expression.Parse(s, expression.Known{Names: append([]string{"sales", "help", "language", "choice", "account", "tier", "vip"}, expression.CallNames()...), Functions: expression.QueueFunctions()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	text := func(s string) []Prompt {
		m, err := expression.ParseTemplate(s, expression.Known{Names: append([]string{"account", "tier"}, expression.CallNames()...), Functions: expression.QueueFunctions()})
		if err != nil {
			t.Fatal(err)
		}
		return []Prompt{{Text: m}}
	}
	number := func(s string) *expression.Template { return text(s)[0].Text }
	level := func(name string, n float64) Attribute { return Attribute{name, expression.Number(n)} }
	return &Site{
		Agents: []Agent{
			{Name: "ann", Number: "2001", Device: "SEP1", Team: "blue", Attributes: []Attribute{level("sales", 5), {"language", expression.Text("de")}}},
			{Name: "bob", Number: "2002", Device: "SEP2", Team: "blue", Attributes: []Attribute{level("sales", 9)}},
			{Name: "cid", Number: "2003", Device: "SEP3", Team: "red", Attributes: []Attribute{level("sales", 1), level("help", 3)}},
		},
		Teams: []Team{{Name: "blue", Supervisors: []string{"sue"}, WrapUp: 10 * time.Second}, {Name: "red", WrapUpMode: WrapUpNone, RingTime: 20 * time.Second}},
		Queues: []Queue{
			{Name: "sales", Steps: []QueueStep{{Where: x("sales >= 5"), Wait: 60 * time.Second}, {Where: x("sales > 0")}}, Ageing: 30 * time.Second, ShortAbandon: 5 * time.Second,
				Announce: text("You are number {position}, {minutes} minutes."), AnnounceFirst: 15 * time.Second},
			{Name: "best", Steps: []QueueStep{{Where: x("sales > 0")}}, Order: MostSkilled, By: "sales", MaxWaiting: 1},
			{Name: "help", Steps: []QueueStep{{Where: x("help > 0")}}, Announce: text("Press 1 to be called back."), Priority: 3},
		},
		Scripts: []Script{
			{Name: "sales", Start: "q", Nodes: []Node{{Name: "q", Kind: NodeQueue, Queue: "sales", Priority: x("5 + 3 * vip")}}},
			{Name: "best", Start: "q", Nodes: []Node{{Name: "q", Kind: NodeQueue, Queue: "best", Nobody: "nobody", Full: "full", Next: "bye"},
				{Name: "nobody", Kind: NodeSay, Prompts: text("Nobody is here.")}, {Name: "full", Kind: NodeEnd, Cause: call.UserBusy}, {Name: "bye", Kind: NodeSay, Prompts: text("Goodbye.")}}},
			{Name: "help", Start: "hours", Nodes: []Node{
				{Name: "hours", Kind: NodeHours, Schedule: "office", Next: "hello", Else: "mail"},
				{Name: "hello", Kind: NodeSay, Prompts: text("Hello {calling}."), Next: "ask"},
				{Name: "ask", Kind: NodeMenu, Prompts: text("Sales 1, help 2."), Choices: []Choice{{"1", "sales"}, {"2", "id"}}, Else: "mail"},
				{Name: "sales", Kind: NodeQueue, Queue: "sales"},
				{Name: "id", Kind: NodeDigits, Prompts: text("Your account."), Variable: "account", Min: 4, Next: "look", Else: "queue"},
				{Name: "look", Kind: NodeLookup, URL: number("https://crm.test/{account}?n={calling}"), Results: []Result{{"tier", "tier"}}, Next: "gold", Else: "queue"},
				{Name: "gold", Kind: NodeIf, When: x("tier == gold"), Next: "mark", Else: "queue"},
				{Name: "mark", Kind: NodeSet, Set: []Assignment{{"vip", x("1")}}, Next: "queue"},
				{Name: "queue", Kind: NodeQueue, Queue: "help", Wait: 90 * time.Second, Else: "mail", Choices: []Choice{{"1", "back"}}},
				{Name: "back", Kind: NodeCallback, Queue: "help", Next: "will", Else: "mail"},
				{Name: "will", Kind: NodeSay, Prompts: text("We call {calling}.")},
				{Name: "mail", Kind: NodeTransfer, Number: number("8000"), Else: "sorry"},
				{Name: "sorry", Kind: NodeSay, Prompts: text("Sorry.")}}},
			{Name: "circle", Start: "a", Nodes: []Node{{Name: "a", Kind: NodeIf, Next: "b", Else: "b"}, {Name: "b", Kind: NodeSet, Next: "a"}}},
		},
		Numbers:   []Number{{Number: "800", Script: "sales"}, {Number: "801", Script: "best"}, {Number: "802", Script: "help", Language: "en"}, {Number: "809", Script: "circle"}},
		Schedules: []Schedule{{Schedule: dialplan.Schedule{Name: "office", Periods: []dialplan.Period{{Days: 0b0111110, From: 8 * 60, To: 18 * 60}}}}},
	}
}

// script runs one golden script. A block is input lines, "----", output lines, an empty line. Inputs:
//
//	site [WITHOUT...]           the office, without agents, queues or scripts of these names
//	call N 800 [vip]            call N asks for the first time
//	ask N REASON key=value      call N asks: reason, label, with, state, cause, and variables behind var.
//	note N KIND key=value       a note about call N
//	ready NAME...               agents log in and are ready
//	wait DURATION               time passes; timers go off when they are due
//	Kind key=value              any other Input by its fields
type script struct {
	t     testing.TB
	k     *checker
	out   strings.Builder
	lines []string
	query map[string]contact.Query
	last  uint64
}

func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { runScript(t, f) })
	}
}

func runScript(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, k: newChecker(start), query: map[string]contact.Query{}}
	inOutput := false
	for line := range strings.SplitSeq(strings.TrimRight(string(b), "\n"), "\n") {
		switch {
		case line == "":
			inOutput = false
			fmt.Fprintln(&s.out)
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		case inOutput:
		case line == "----":
			inOutput = true
			fmt.Fprintln(&s.out, line)
			for _, l := range s.lines {
				fmt.Fprintln(&s.out, l)
			}
			s.lines = nil
		default:
			fmt.Fprintln(&s.out, line)
			s.input(strings.Fields(line))
		}
	}
	for _, f := range s.k.faults {
		t.Error("invariant", f)
	}
	if *update {
		if err := os.WriteFile(file, []byte(s.out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := s.out.String(); got != string(b) {
		t.Errorf("the script gives something else now (go test -update writes it):\n%s", got)
	}
}

func (s *script) step(in Input) {
	for _, o := range s.k.step(in) {
		s.lines = append(s.lines, Describe(o))
	}
}

func (s *script) input(f []string) {
	switch f[0] {
	case "site":
		s.step(Configure{s.site(f[1:])})
	case "call":
		q := contact.Query{Call: contact.CallID("c" + f[1]), Server: "cs1", Called: f[2], Calling: "+4930" + f[1], Began: s.k.now, Variables: map[string]string{"vip": strconv.Itoa(len(f) - 3)}}
		s.ask(f[1], q)
	case "ask":
		q := s.query[f[1]]
		q.Variables = map[string]string{}
		if q.Call == "" {
			q = contact.Query{Call: contact.CallID("c" + f[1]), Server: "cs1", Began: s.k.now, Variables: q.Variables}
		}
		s.must(q.Reason.UnmarshalText([]byte(f[2])))
		for _, kv := range f[3:] {
			key, value, _ := strings.Cut(kv, "=")
			if name, ok := strings.CutPrefix(key, "var."); ok {
				q.Variables[name] = value
				continue
			}
			s.set(reflect.ValueOf(&q).Elem(), key, value)
		}
		s.ask(f[1], q)
	case "note":
		n := contact.Note{Server: "cs1", Call: contact.CallID("c" + f[1])}
		s.must(n.Kind.UnmarshalText([]byte(f[2])))
		s.fields(reflect.ValueOf(&n).Elem(), f[3:])
		s.step(Noted{n})
	case "ready":
		for _, name := range f[1:] {
			s.step(LogIn{ID: s.next(), Agent: name, Session: "d-" + name})
			s.step(SetState{ID: s.next(), Agent: name, State: Ready})
		}
	case "wait":
		d, err := time.ParseDuration(f[1])
		s.must(err)
		for _, o := range s.k.wait(d) {
			s.lines = append(s.lines, Describe(o))
		}
	default:
		s.step(s.parse(f))
	}
}

func (s *script) next() uint64 { s.last++; return s.last }

func (s *script) ask(n string, q contact.Query) {
	s.query[n] = q
	s.step(Asked{ID: s.next(), Query: q})
}

func (s *script) must(err error) {
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) site(without []string) *Site {
	site := office(s.t)
	for _, name := range without {
		for i := len(site.Agents) - 1; i >= 0; i-- {
			if site.Agents[i].Name == name {
				site.Agents = append(site.Agents[:i], site.Agents[i+1:]...)
			}
		}
		if name, ok := strings.CutPrefix(name, "queue:"); ok {
			for i := len(site.Queues) - 1; i >= 0; i-- {
				if site.Queues[i].Name == name {
					site.Queues = append(site.Queues[:i], site.Queues[i+1:]...)
				}
			}
			site.Scripts, site.Numbers = nil, nil
		}
	}
	return site
}

// parse reads "Kind key=value ...".
func (s *script) parse(f []string) Input {
	for _, in := range []Input{Restore{}, Ordered{}, Gone{}, LogIn{}, SetState{}, SetVariables{}, WrapUp{}, Session{}, Device{}, Phone{}, Held{}, Joined{}, Dropped{}, Found{}, Dialled{}} {
		if t := reflect.TypeOf(in); t.Name() == f[0] {
			v := reflect.New(t).Elem()
			if id := v.FieldByName("ID"); id.IsValid() {
				id.SetUint(s.next())
			}
			s.fields(v, f[1:])
			return v.Interface().(Input)
		}
	}
	s.t.Fatalf("no input %q", f[0])
	return nil
}

func (s *script) fields(v reflect.Value, f []string) {
	for _, kv := range f {
		key, value, _ := strings.Cut(kv, "=")
		s.set(v, key, value)
	}
}

// set sets a field by its name in any case. Records of agents and callbacks are written NAME:STATE[:DEVICE:NUMBER].
func (s *script) set(v reflect.Value, key, value string) {
	f := v.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, key) })
	if !f.IsValid() {
		s.t.Fatalf("%s has no %s", v.Type(), key)
	}
	switch x := f.Addr().Interface().(type) {
	case *[]AgentRecord:
		for one := range strings.SplitSeq(value, ",") {
			p := strings.Split(one, ":")
			r := AgentRecord{Agent: p[0], Device: p[2], Number: p[3], Session: "d-" + p[0], Since: s.k.now, Next: Ready}
			s.must(r.State.UnmarshalText([]byte(p[1])))
			*x = append(*x, r)
		}
	case *[]string:
		*x = strings.Split(value, ",")
	case *map[string]string:
		*x = map[string]string{}
		name, val, _ := strings.Cut(value, ":")
		(*x)[name] = val
	case interface{ UnmarshalText([]byte) error }:
		s.must(x.UnmarshalText([]byte(value)))
	default:
		switch f.Kind() {
		case reflect.String:
			f.SetString(value)
		case reflect.Bool:
			f.SetBool(value == "true")
		default:
			n, err := strconv.ParseUint(value, 10, 64)
			s.must(err)
			if f.CanUint() {
				f.SetUint(n)
			} else {
				f.SetInt(int64(n))
			}
		}
	}
}
