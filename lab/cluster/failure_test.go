package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/phone"
)

var update = flag.Bool("update", false, "write docs/failures.md and testdata/outcomes.txt from what is measured")

// A failure is something that happens to the node n2.
type failure struct {
	name   string
	strike func(t *testing.T, c *cluster)
	mend   func(t *testing.T, c *cluster)
}

const victim = "n2"

func failures() []failure {
	return []failure{
		{"killed (kill -9)", func(_ *testing.T, c *cluster) { c.nodes[victim].Kill() }, func(_ *testing.T, c *cluster) { c.up(c.nodes[victim]) }},
		{"hangs (its process is stopped)", func(t *testing.T, c *cluster) { c.nodes[victim].Signal(t, syscall.SIGSTOP) },
			func(t *testing.T, c *cluster) { c.nodes[victim].Signal(t, syscall.SIGCONT) }},
		{"cut off from the other nodes", func(t *testing.T, c *cluster) { c.between(t, c.net.Cut, "n1", "n3") }, func(t *testing.T, c *cluster) { c.between(t, c.net.Heal, "n1", "n3") }},
		{"cut off from everybody", func(t *testing.T, c *cluster) { c.between(t, c.net.Cut, "n1", "n3", "db", "test") },
			func(t *testing.T, c *cluster) { c.between(t, c.net.Heal, "n1", "n3", "db", "test") }},
	}
}

// between cuts or heals the ways of the victim to the places.
func (c *cluster) between(t *testing.T, change func(testing.TB, string, string), places ...string) {
	t.Helper()
	for _, p := range places {
		change(t, victim, p)
	}
}

// observed is how long the calls are looked at after a failure.
const observed = 8 * time.Second

// TestFailures measures what becomes of a call in each state when a node fails, and compares with what is published.
func TestFailures(t *testing.T) {
	all := states()
	phones := 0
	for _, s := range all {
		phones += len(s.phones)
	}
	c := start(t, 3*phones)
	defer c.tell(t)
	table, gaps := map[string][]string{}, map[string]string{}
	for i, f := range failures() {
		if i > 0 && !*update && os.Getenv("LOCKTONE_ALL") != "1" {
			fmt.Println("of the failures of a node only the first is tested; LOCKTONE_ALL=1 tests all")
			break
		}
		t.Run(f.name, func(t *testing.T) {
			if i > 0 {
				c.settle(t)
			}
			table[f.name], gaps[f.name] = c.suffer(t, f, all)
		})
	}
	compare(t, all, table, gaps)
}

// A seat is a phone of a state.
type seat struct {
	phone *phone.Phone
	home  string
}

// suffer puts a call into every state, strikes, and says what became of each.
func (c *cluster) suffer(t *testing.T, f failure, all []state) (outcomes []string, gap string) {
	t.Helper()
	next := map[string]int{} // by node: the next of its phones
	seats := make([][]seat, len(all))
	elsewhere := []string{"n1", "n3"}
	for i, s := range all {
		for _, at := range s.phones {
			home := victim
			if at == other {
				home = elsewhere[next[other]%2]
				next[other]++
			}
			number := slices.Index(names, home) + len(names)*next[home]
			next[home]++
			seats[i] = append(seats[i], seat{c.phone(t, number), home})
		}
	}
	scenes := make([]*scene, len(all))
	for i, s := range all {
		var p []*phone.Phone
		for _, x := range seats[i] {
			p = append(p, x.phone)
		}
		scenes[i] = s.make(t, p)
	}
	listeners := make([][]*listener, len(all))
	for i, s := range scenes {
		for _, call := range s.talk {
			listeners[i] = append(listeners[i], listen(call))
		}
	}
	f.strike(t, c)
	struck := time.Now()
	gaps := c.returns(t, struck, seats)
	time.Sleep(time.Until(struck.Add(observed))) // what is measured is what happens in that time
	for i, s := range scenes {
		outcomes = append(outcomes, s.outcome(listeners[i]))
		t.Logf("%-60s %s", all[i].name, outcomes[i])
	}
	gap = <-gaps
	t.Log("phones of the lost node can call again after " + gap)
	for _, s := range scenes {
		for _, call := range append(s.talk, s.wait...) {
			c.hangUp(t, call)
		}
	}
	f.mend(t, c)
	return outcomes, gap
}

// settle waits until every phone is back at its home and no node knows of a call any more: what was hung up while nobody could be told
// ends when the phones are asked for it.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	for i := range c.seats {
		c.phone(t, i)
	}
	eventually(t, returning, func() error {
		for _, name := range names {
			if n := c.nodes[name].metric(t, "locktone_callmanager_calls"); n != 0 {
				return fmt.Errorf("node %s has %v calls", name, n)
			}
		}
		return nil
	})
}

// returns waits, beside the test, until the phones of the lost node can call again, and says how long that took.
func (c *cluster) returns(t *testing.T, struck time.Time, seats [][]seat) <-chan string {
	var mu sync.Mutex
	var all []time.Duration
	var wait sync.WaitGroup
	for _, row := range seats {
		for _, x := range row {
			if x.home != victim {
				continue
			}
			wait.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), step)
				defer cancel()
				if err := callsAgain(ctx, x.phone); err != nil {
					t.Errorf("%s cannot call again: %v", x.phone.Name(), err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, time.Since(struck))
			})
		}
	}
	said := make(chan string, 1)
	go func() {
		wait.Wait()
		slices.Sort(all)
		if len(all) == 0 {
			said <- "no phone came back"
			return
		}
		said <- fmt.Sprintf("%s, %s", seconds(all[len(all)/2]), seconds(all[len(all)-1]))
	}()
	return said
}

// callsAgain tries until the phone reaches the tone of its call manager, whichever that is.
func callsAgain(ctx context.Context, p *phone.Phone) error {
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		call, err := p.Dial(try, "9197")
		if err == nil {
			err = call.WaitAnswered(try)
			if e := call.Hangup(try); err == nil {
				err = e
			}
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// outcome is what became of a call, in words that do not depend on the machine's speed but for the figures in brackets.
func (s *scene) outcome(listeners []*listener) string {
	var said []string
	for _, l := range listeners {
		pause, over := l.stop()
		switch ended := l.call.State() == phone.Ended; {
		case ended:
			said = append(said, "ended")
		case over:
			said = append(said, "silent")
		case pause > silence:
			said = append(said, fmt.Sprintf("goes on (after %s)", seconds(pause)))
		default:
			said = append(said, "goes on")
		}
	}
	for _, call := range s.wait {
		if call.State() == phone.Ended {
			status, _, _ := call.WaitEnded(context.Background()) // it has ended
			said = append(said, fmt.Sprintf("ended (%d)", status))
		} else {
			said = append(said, call.State().String())
		}
	}
	return strings.Join(said, "; ")
}

// hangUp ends a call at its phone, whatever its node says.
func (c *cluster) hangUp(t *testing.T, call *phone.Call) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_ = call.Hangup(ctx) // the node that has to answer may be the one that is lost
}

// compare holds the outcomes against those that are published, or publishes them.
func compare(t *testing.T, all []state, table map[string][]string, gaps map[string]string) {
	t.Helper()
	const golden, page, begin, end = "testdata/outcomes.txt", "../../docs/failures.md", "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
	if *update {
		ok(t, os.MkdirAll("testdata", 0o755))
		ok(t, os.WriteFile(golden, []byte(lines(all, table)), 0o644))
		text := string(must(os.ReadFile(page))(t))
		before, rest, found := strings.Cut(text, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has no place for the table", page)
		}
		ok(t, os.WriteFile(page, []byte(before+begin+markdown(all, table, gaps)+end+after), 0o644))
	}
	published := string(must(os.ReadFile(golden))(t))
	for _, line := range strings.SplitAfter(lines(all, table), "\n") {
		if !strings.Contains(published, line) {
			t.Errorf("not as published in docs/failures.md (go test ./lab/cluster -update writes it): %s", line)
		}
	}
}

// figures are those of an outcome: they differ from run to run.
var figures = regexp.MustCompile(` \(after [0-9.]+ s\)`)

// lines are the outcomes, one a line, without figures.
func lines(all []state, table map[string][]string) string {
	var b strings.Builder
	for _, f := range failures() {
		for i, outcome := range table[f.name] {
			fmt.Fprintf(&b, "%s | %s | %s\n", f.name, all[i].name, figures.ReplaceAllString(outcome, ""))
		}
	}
	return b.String()
}

// markdown is the published table.
func markdown(all []state, table map[string][]string, gaps map[string]string) string {
	var b strings.Builder
	b.WriteString("| Call |")
	for _, f := range failures() {
		fmt.Fprintf(&b, " %s |", f.name)
	}
	b.WriteString("\n|" + strings.Repeat("---|", 1+len(failures())) + "\n")
	row := func(name string, cell func(f failure) string) {
		b.WriteString("| " + name + " |")
		for _, f := range failures() {
			fmt.Fprintf(&b, " %s |", cell(f))
		}
		b.WriteString("\n")
	}
	for i, s := range all {
		row(s.name, func(f failure) string { return table[f.name][i] })
	}
	row("its phones can call again after (median, longest)", func(f failure) string { return gaps[f.name] })
	return b.String()
}
