package call

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNodes runs the scripts of several nodes. A block is what people and the network do, "----", what comes of it, an empty line:
//
//	site NAME NODE...          a cluster (sites: see variants), all nodes alive
//	up NODE PHONE...           phones register at a node
//	believe NODE PHONE OTHER   a node has heard that a phone is at another one
//	serve NODE TRUNK...        trunks are in service at a node
//	PHONE calls NUMBER         a trunk may call too
//	PHONE answers | holds | resumes | hangs up | refuses CAUSE | sends on to NUMBER (302)
//	PHONE transfers to NUMBER  blind; PHONE joins connects its two calls (attended)
//	PHONE takes PHONE          INVITE with Replaces for that phone's call; PHONE enters PHONE: with Join
//	PHONE presses DIGIT
//	app NODE Request key=value what an application asks of a node
//	lose NODE | start NODE     the node is killed, or started again
//	cut | heal                 the nodes do not hear each other, and do again
//	ties wait | ties go        what is on its way between nodes stays there, and arrives
//	heard PHONE PROOF          what the last packets of a phone have shown
//	expire                     session timers find ties without another end
//	wait DURATION
//
// The output shows events of note, what phones and nodes are told (but for offers and answers), records of legs that are over, what a node
// offers to others, and at the end of each block who hears whom now: that follows descriptions from phone to phone across all nodes.
func TestNodes(t *testing.T) {
	files, _ := filepath.Glob("testdata/nodes/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { runNodes(t, f) })
	}
}

func runNodes(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &nodesScript{t: t}
	got := s.run(string(b))
	s.c.said = nil
	for _, f := range s.c.clear() {
		t.Error(f)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(b) {
		t.Errorf("the script gives something else now (go test -update writes it):\n%s", difference(string(b), got))
	}
}

type nodesScript struct {
	t    *testing.T
	c    *cluster
	wait bool // ties wait
	out  strings.Builder
}

func (s *nodesScript) run(text string) string {
	inOutput := false
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
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
			s.flush()
		default:
			fmt.Fprintln(&s.out, line)
			s.input(line)
			s.settle()
		}
	}
	return s.out.String()
}

func (s *nodesScript) settle() {
	if s.wait {
		was := s.c.cut
		s.c.cut = true
		s.c.settle()
		s.c.cut = was
		return
	}
	s.c.settle()
}

func (s *nodesScript) flush() {
	if !s.wait && !s.c.cut {
		for _, f := range s.c.agree() {
			s.t.Error(f)
		}
	}
	s.c.hearing()
	for _, l := range s.c.said {
		fmt.Fprintln(&s.out, l)
	}
	s.c.said = nil
}

func (s *nodesScript) input(line string) {
	f := strings.Fields(line)
	c := s.c
	switch f[0] {
	case "site":
		site, ok := variants()[f[1]]
		if !ok {
			s.t.Fatalf("no site %q", f[1])
		}
		s.c = newCluster(s.t, site, f[2:]...)
	case "up":
		for _, name := range f[2:] {
			c.register(s.phone(name), c.node(f[1]))
		}
	case "serve":
		for _, name := range f[2:] {
			c.serve(name, c.node(f[1]))
		}
	case "app":
		in := (&script{t: s.t}).parse(append([]string{"app"}, f[2:]...))
		c.step(c.node(f[1]), in)
	case "lose":
		c.lose(c.node(f[1]))
	case "start":
		n := c.node(f[1])
		n.begin(c)
		c.announce(n)
	case "cut", "heal":
		c.cut = f[0] == "cut"
		for _, n := range c.nodes {
			for _, o := range c.nodes {
				if o != n {
					c.step(n, Input{Driver: "sip", Signal: NodeState{o.name, !c.cut}})
				}
			}
		}
		if !c.cut {
			for _, n := range c.nodes {
				c.announce(n)
			}
		}
	case "ties":
		s.wait = f[1] == "wait"
	case "believe":
		c.lies = true
		c.step(c.node(f[1]), Input{Driver: "sip", Signal: DeviceState{Device: f[2], Up: true, Node: f[3]}})
	case "heard":
		var proof Proof
		if err := proof.UnmarshalText([]byte(f[2])); err != nil {
			s.t.Fatal(err)
		}
		l := s.leg(s.phone(f[1]), func(l *simLeg) bool { return l.active })
		c.step(l.node, Input{Driver: "sip", Signal: Heard{Leg: l.id, Proof: proof}})
	case "expire":
		c.expire()
	case "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		c.wait(d, s.settle)
	default:
		s.people(s.phone(f[0]), f[1:])
	}
}

func (s *nodesScript) phone(name string) *simPhone {
	p := s.c.phones[name]
	if p == nil {
		s.t.Fatalf("there is no phone or trunk %q", name)
	}
	return p
}

// leg is the newest call of a phone that fits.
func (s *nodesScript) leg(p *simPhone, fits func(*simLeg) bool) *simLeg {
	for i := len(p.legs) - 1; i >= 0; i-- {
		if fits(p.legs[i]) {
			return p.legs[i]
		}
	}
	s.t.Fatalf("%s has no such call; so far:\n%s", p.name, strings.Join(s.c.said, "\n"))
	return nil
}

func (s *nodesScript) people(p *simPhone, f []string) {
	c := s.c
	talks := func(l *simLeg) bool { return l.active && !l.holding }
	switch f[0] {
	case "calls":
		c.call(p, Setup{Called: f[1]})
	case "answers":
		c.answer(s.leg(p, func(l *simLeg) bool { return l.ringing }))
	case "holds":
		c.reoffer(s.leg(p, talks), true)
	case "resumes":
		c.reoffer(s.leg(p, func(l *simLeg) bool { return l.holding }), false)
	case "hangs":
		c.hangUp(s.leg(p, func(*simLeg) bool { return true }), Released{Cause: NormalClearing})
	case "refuses":
		cause, err := ParseCause(strings.ReplaceAll(f[1], "-", " "))
		if err != nil {
			s.t.Fatal(err)
		}
		c.hangUp(s.leg(p, func(l *simLeg) bool { return l.ringing }), Released{Cause: cause})
	case "sends":
		c.hangUp(s.leg(p, func(l *simLeg) bool { return l.ringing }), Released{Cause: NormalClearing, ToNumber: f[3]})
	case "transfers":
		l := s.leg(p, func(l *simLeg) bool { return l.active })
		c.step(l.node, Input{Driver: "sip", Signal: TransferAsked{Leg: l.id, To: f[2]}})
	case "joins":
		c.step(p.node, Input{Driver: "sip", Signal: TransferAsked{Leg: p.legs[0].id, Replaces: p.legs[1].id}})
	case "presses":
		l := s.leg(p, talks)
		c.step(l.node, Input{Driver: "sip", Signal: Digit{l.id, f[1], 100}})
	case "takes", "enters":
		o := s.leg(s.phone(f[1]), func(*simLeg) bool { return true })
		setup := Setup{Replaces: o.id, Called: "2100"}
		if f[0] == "enters" {
			setup = Setup{Join: o.id, Called: "2100"}
		}
		if o.node != p.node {
			setup.Owner = o.node.name
		}
		c.call(p, setup)
	default:
		s.t.Fatalf("what is %s to do: %s?", p.name, strconv.Quote(strings.Join(f, " ")))
	}
}
