package rotation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Target is what is to be rotated.
type Target string

// The targets.
const (
	CallManager  Target = "callmanager"
	Provisioning Target = "provisioning"
	TVS          Target = "tvs"
	CTIManager   Target = "ctimanager"
	ITL          Target = "itl" // the two list signers, one after the other
	Recovery     Target = "recovery"
	CAPF         Target = "capf"
	CA           Target = "ca" // the roots, and every service's certificates, since they stand on them
	All          Target = "all"
)

// Targets are all targets, in the order in which All takes them.
func Targets() []Target {
	return []Target{CA, CAPF, ITL, Recovery, TVS, CTIManager, Provisioning, CallManager, All}
}

// Order is how the steps follow each other. The zero value is the safe one.
type Order string

// The orders. Only Safe is ever recommended; the others are what people do, evaluated.
const (
	Safe            Order = ""
	AtOnce          Order = "at-once"          // everything replaced in one go: the accident of the field
	OneByOne        Order = "one-by-one"       // each replaced in one go, without overlap, one after the other
	SignersTogether Order = "signers-together" // sast-1 and sast-2 in one go
	SignersWithTVS  Order = "signers-with-tvs" // the signers and TVS in one go
)

// Action is what a step does.
type Action string

// The actions.
const (
	Stage    Action = "stage"    // make the next generation of the members; nothing presents it
	Publish  Action = "publish"  // build and sign lists of what exists now
	Wait     Action = "wait"     // until the gate opens
	Activate Action = "activate" // the staged generation is presented, signs, issues; of the roots: LSC renewals are ordered
	Retire   Action = "retire"   // the former generations are forgotten and their keys destroyed
	Replace  Action = "replace"  // stage, activate, retire and publish in one go: only in orders that are not safe
)

// Step is one step of a plan.
type Step struct {
	Number  int      `json:"number"`
	Action  Action   `json:"action"`
	Members []string `json:"members,omitempty"`
	IDs     []ID     `json:"ids,omitempty"` // generations made, activated, retired; of a wait those to be known
	Gate    *Gate    `json:"gate,omitempty"`
	Why     string   `json:"why"`
	Victims []Victim `json:"victims,omitempty"` // stranded by this step
}

// Gate is what a wait waits for, before an action on the step's members.
type Gate struct {
	For Action `json:"for"`
	// Needed are the devices that the action strands unless they learn of it first: waited for without end.
	Needed []string `json:"needed,omitempty"`
	// Peers are those of Needed that fetch no lists: their operators install our certificates, and locktone trust told notes it.
	Peers []string `json:"peers,omitempty"`
	// Hoped is how many others are awake: each would have one failed handshake before it fetches the new list, so they are
	// given time.
	Hoped int `json:"hoped"`
	// Asleep is how many others are not: they recover when they wake up.
	Asleep int `json:"asleep"`
	// LSCs: it is a new LSC that is waited for.
	LSCs bool `json:"lscs,omitempty"`
}

// Victim is a device whose fate is, or gets, worse.
type Victim struct {
	Device string `json:"device"`
	Fate   Fate   `json:"fate"`
	Why    string `json:"why"`
}

// Outcome is an order with its victims.
type Outcome struct {
	Order   Order    `json:"order"`
	What    string   `json:"what"`
	Victims []Victim `json:"victims"`
}

// Plan is a rotation thought through.
type Plan struct {
	Target   Target    `json:"target"`
	Order    Order     `json:"order,omitempty"`
	Devices  int       `json:"devices"`
	Asleep   int       `json:"asleep"`
	Steps    []Step    `json:"steps"`
	Others   []Outcome `json:"others"`             // orders not taken
	Already  []Victim  `json:"already,omitempty"`  // deaf or stranded before anything is done
	Victims  []Victim  `json:"victims,omitempty"`  // of the steps
	Accepted []string  `json:"accepted,omitempty"` // victims the operator named
	Refused  string    `json:"refused,omitempty"`  // why it must not be applied; empty: it may
	Note     string    `json:"note,omitempty"`     // how those prove what they know whom it waits for
}

// Options refine a plan.
type Options struct {
	Order Order
	// Accept names the victims the operator takes upon himself; every one has to be named.
	Accept []string
	// Asleep is how long before State.Time a device was last seen to count as asleep; zero: an hour. It decides who is
	// waited for out of courtesy, never whether somebody is stranded.
	Asleep time.Duration
}

// InputError is a request that makes no sense here.
type InputError struct{ What string }

// Error says what is wrong and what to choose from.
func (e *InputError) Error() string { return e.What }

func unknown(format string, args ...any) error { return &InputError{fmt.Sprintf(format, args...)} }

// New plans a rotation. It fails with an *InputError when the target or the order is unknown, or there is nothing of the kind; a plan with
// victims is no error but has Refused set.
func New(s State, ds []Device, target Target, o Options) (Plan, error) {
	members, err := targeted(s, target)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Target: target, Order: o.Order, Devices: len(ds), Accepted: normal(o.Accept), Others: []Outcome{}}
	b := newBuilder(s, ds, o)
	p.Asleep, p.Already = b.asleep(), b.already
	if o.Order == Safe {
		b.safe(target, members)
	} else if err := b.naive(o.Order, target, members); err != nil {
		return Plan{}, err
	}
	p.Steps, p.Victims, p.Note = b.steps, b.victims, proving(b.steps)
	for _, c := range compared(s, target, members) {
		if c.order != o.Order {
			n := newBuilder(s, ds, o)
			if err := n.naive(c.order, c.target, c.groups); err != nil {
				return Plan{}, err
			}
			p.Others = append(p.Others, Outcome{c.order, c.order.what(c.target), sorted(n.victims)})
		}
	}
	p.refuse()
	return p, nil
}

// refuse sets Refused unless every victim was named.
func (p *Plan) refuse() {
	var unnamed []Victim
	for _, v := range p.Victims {
		if _, named := slices.BinarySearch(p.Accepted, v.Device); !named {
			unnamed = append(unnamed, v)
		}
	}
	if unnamed == nil {
		return
	}
	p.Refused = "it " + toll(unnamed)
}

// devices is a number of devices in words.
func devices(n int) string {
	if n == 1 {
		return "1 device"
	}
	return fmt.Sprintf("%s devices", grouped(n))
}

// grouped writes 10000 as 10,000.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// someOf lists the first few names and how many more there are.
func someOf(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:limit], ", "), grouped(len(names)-limit))
}

// targeted are the members of a target, in groups that are replaced together; the groups in the order of the plan.
func targeted(s State, t Target) (groups [][]string, err error) {
	want := []Target{t}
	if t == All {
		want = Targets()[:len(Targets())-1]
	} else if t == CA {
		want = []Target{CA, CAPF, TVS, CTIManager, Provisioning, CallManager}
	} else if !slices.Contains(Targets(), t) {
		return nil, unknown("there is nothing called %q to rotate: choose %s", t, join(Targets()))
	}
	for _, one := range want {
		groups = append(groups, groupsOf(s, one)...)
	}
	if groups == nil || t == CA && groupsOf(s, CA) == nil {
		return nil, unknown("this site has no %s whose certificates could be rotated", t)
	}
	return groups, nil
}

func join[T ~string](words []T) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

// groupsOf are the members of one target: the nodes of a service together, every signer alone.
func groupsOf(s State, t Target) (groups [][]string) {
	var together []string
	for _, m := range s.Members {
		switch {
		case m.Kind == Signer && t == ITL && m.Name != RecoveryName, m.Kind == Signer && t == Recovery && m.Name == RecoveryName:
			groups = append(groups, []string{m.Name})
		case m.Kind == Root && t == CA, m.Kind == Service && m.service() == string(t):
			together = append(together, m.Name)
		}
	}
	if together != nil {
		groups = append(groups, together)
	}
	return groups
}
