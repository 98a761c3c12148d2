package call

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// cluster is several nodes, each with its engine under all invariants, the ties between them, and the phones and trunks of all: what the
// drivers, the bus and the wire do, in one piece of memory. What is on its way waits in queues, one for each leg and direction: a script
// delivers everything in the order in which it was sent, a walk as it likes, but for the order within a queue.
type cluster struct {
	t       testing.TB
	site    Site
	nodes   []*simNode
	now     time.Time
	phones  map[string]*simPhone
	trunks  map[string]*simNode // where trunks are in service
	seq     int
	queues  map[string][]post
	cut     bool               // nodes do not hear each other: what is on its way between them waits
	apart   map[[2]string]bool // pairs of nodes that live and do not reach each other: see part
	missed  map[string]int     // what was lost on its way, by its kind
	lies    bool               // a script has told a node what is not so
	said    []string
	observe func(*simNode, Output) // sees every Step
	relays  bool                   // settings are being told
	log     bool
	seed    int64 // of a walk
}

// post is something on its way. lost is what those who wait for it learn where it cannot arrive; nil for what is sent until it does.
type post struct {
	seq  int
	run  func()
	lost func()
}

// simNode is a node: an engine, what its driver knows of its legs, and what it has told of its calls.
type simNode struct {
	name    string
	life    int
	lost    bool
	k       *checker
	nextLeg LegID
	descs   []simDesc // by Desc.Ref
	legs    map[LegID]*simLeg
	offers  Offers
	records []Recorded
}

// simDesc is a session description: whose media it describes.
type simDesc struct {
	id       int
	origin   string
	dir      Direction
	security Security
}

// simLeg is a leg as its driver has it: a dialog with a phone or trunk, or one end of a tie.
type simLeg struct {
	id    LegID
	node  *simNode
	phone *simPhone // nil for a tie
	peer  *simLeg   // the other end of a tie; nil for a phone, and once that node is lost
	life  int       // of the node of peer

	ringing, active, holding bool
	invite                   Media   // what a Ring has brought
	told                     Desc    // what the engine was told last over a tie
	toldOf                   simDesc // and what that was
	remote                   simDesc // what the phone was told
	dir                      Direction
	ours                     bool // our Reoffer is not answered yet
	theirs                   bool // the phone's Reoffered is not answered yet
}

// simPhone is a phone, or the far end of a trunk.
type simPhone struct {
	name  string
	node  *simNode
	trunk bool
	legs  []*simLeg
	heard string
}

func newCluster(t testing.TB, site Site, names ...string) *cluster {
	c := &cluster{t: t, site: site, now: start, phones: map[string]*simPhone{}, trunks: map[string]*simNode{}, queues: map[string][]post{}}
	c.site.Nodes = names
	for _, name := range names {
		c.nodes = append(c.nodes, &simNode{name: name})
	}
	for _, d := range site.Devices {
		c.phones[d.Name] = &simPhone{name: d.Name}
	}
	for _, tr := range site.Trunks {
		c.phones[tr.Name] = &simPhone{name: tr.Name, trunk: true}
	}
	for _, n := range c.nodes {
		n.begin(c)
	}
	for _, n := range c.nodes {
		c.announce(n)
	}
	return c
}

// begin starts the node's program.
func (n *simNode) begin(c *cluster) {
	n.life++
	n.lost, n.k, n.nextLeg, n.descs, n.records = false, newChecker(true), LegID(1000*n.life-999), make([]simDesc, 1), nil
	n.legs, n.offers = map[LegID]*simLeg{}, Offers{}
	site := c.site
	site.Node, site.Incarnation = n.name, fmt.Sprint(n.life)
	c.step(n, Input{Config: site.must(c.t)})
	for _, tr := range site.Trunks {
		c.step(n, Input{Driver: "trunk", Signal: TrunkState{Trunk: tr.Name}})
	}
}

// announce tells a node and the others of each other.
func (c *cluster) announce(n *simNode) {
	for _, o := range c.nodes {
		if o == n || o.lost || c.parted(o, n) {
			continue
		}
		c.step(o, Input{Driver: "sip", Signal: NodeState{n.name, true}})
		c.step(n, Input{Driver: "sip", Signal: NodeState{o.name, true}})
		for _, x := range o.offers.All() {
			x.Node = o.name
			c.step(n, Input{Driver: "sip", Signal: x})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.phones)) {
		if p := c.phones[name]; p.node != nil && !p.node.lost {
			c.register(p, p.node)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.trunks)) {
		c.serve(name, c.trunks[name])
	}
}

// register tells every node where a phone is.
func (c *cluster) register(p *simPhone, at *simNode) {
	p.node = at
	for _, n := range c.nodes {
		if c.parted(n, at) {
			continue
		}
		s := DeviceState{Device: p.name, Up: true}
		if n != at {
			s.Node = at.name
		}
		c.step(n, Input{Driver: "sip", Signal: s})
	}
}

// serve tells every node where a trunk is in service.
func (c *cluster) serve(trunk string, at *simNode) {
	c.trunks[trunk], c.phones[trunk].node = at, at
	for _, n := range c.nodes {
		if c.parted(n, at) {
			continue
		}
		s := TrunkState{Trunk: trunk, Up: !at.lost}
		if n != at {
			s.Node = at.name
		}
		c.step(n, Input{Driver: "trunk", Signal: s})
	}
}

// step runs one Step of a node, and does what it wants done.
func (c *cluster) step(n *simNode, in Input) Output {
	if n.lost || n.k == nil {
		return Output{}
	}
	if at := n.k.e.Deadline(); in != (Input{}) && !at.IsZero() && !at.After(c.now) {
		c.step(n, Input{}) // the runner's tick comes first
	}
	line, err := MarshalInput(c.now, in)
	if err != nil {
		c.t.Fatal(err)
	}
	out := n.k.step(c.now, in)
	n.records = append(n.records, Recorded{Input: line, Text: AppendOutput(nil, out)})
	if c.log {
		c.t.Logf("%s %s %s\n%s", c.now.Sub(start), n.name, line, n.records[len(n.records)-1].Text)
	}
	if c.observe != nil {
		c.observe(n, out)
	}
	for _, ev := range out.Events {
		c.event(n, ev)
	}
	c.publish(n, out.Events)
	for _, o := range out.Commands {
		c.command(n, o.Command)
	}
	if out.Reply != nil {
		c.say("%s app <- %s", n.name, Describe(out.Reply))
	}
	return out
}

func (c *cluster) say(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// event notes what a script shows of an event, and has settings told to the other nodes.
func (c *cluster) event(n *simNode, ev Event) {
	switch ev.Kind {
	case PartyHeld, PartyResumed, Transferred, CallEnded, Parked, Retrieved, PickedUp, Barged, ConferenceStarted, ConferenceEnded,
		ProtectionChanged, Forwarded, EmergencyCallMade:
		c.say("%s * %s", n.name, ev)
	case LegDropped:
		r := ev.Record
		who := orDefault(r.Device+r.Trunk, "caller")
		if l := n.legs[ev.Leg]; l != nil && l.phone == nil {
			who = "tie of " + who
		}
		c.say("%s record %s: %s, %s, by %s", n.name, who, r.Outcome, r.Cause, r.By)
	case LineChanged, DeviceChanged:
		for _, o := range c.nodes {
			if o == n || o.lost || c.relays {
				continue
			}
			for _, r := range ev.Settings.Requests(ev) {
				c.send("settings "+n.name+" "+o.name, func() { c.stepQuietly(o, Input{Request: r}) })
			}
		}
	}
}

func (c *cluster) stepQuietly(n *simNode, in Input) {
	said := c.said
	c.relays = true // what a node was told it does not tell again
	c.step(n, in)
	c.said, c.relays = said, false
}

// publish tells the other nodes what has changed of what the calls offer.
func (c *cluster) publish(n *simNode, events []Event) {
	for _, x := range n.offers.Note(events) {
		c.tell(n, x)
	}
}

func (c *cluster) tell(n *simNode, x Elsewhere) {
	if words := "offers"; x.Gone {
		y := x
		y.Gone = false
		c.say("%s %s no more %s", n.name, words, strings.TrimPrefix(Describe(y), "Elsewhere "))
	} else {
		c.say("%s %s %s", n.name, words, strings.TrimPrefix(Describe(x), "Elsewhere "))
	}
	x.Node = n.name
	for _, o := range c.nodes {
		if life := n.life; o != n && !c.parted(n, o) {
			c.send("facts "+n.name+" "+o.name, func() {
				if !n.lost && n.life == life {
					c.step(o, Input{Driver: "sip", Signal: x})
				}
			})
		}
	}
}

// send puts something on its way.
func (c *cluster) send(queue string, run func()) {
	c.sendOr(queue, run, nil)
}

// sendOr puts something on its way that may be lost.
func (c *cluster) sendOr(queue string, run, lost func()) {
	c.seq++
	p := post{c.seq, run, lost}
	if lost != nil && c.away(queue) {
		queue, p = "phone failed "+queue, post{c.seq, lost, nil}
	}
	c.queues[queue] = append(c.queues[queue], p)
}

// between says whether a queue is one between nodes.
func between(queue string) bool { return !strings.HasPrefix(queue, "phone") }

// next are the queues that something can be delivered of, that which was sent first first.
func (c *cluster) next() []string {
	var keys []string
	for k := range c.queues {
		if !c.cut && !c.away(k) || !between(k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return c.queues[a][0].seq - c.queues[b][0].seq })
	return keys
}

// deliver takes the first post out of a queue and has it arrive.
func (c *cluster) deliver(queue string) {
	q := c.queues[queue]
	if len(q) == 1 {
		delete(c.queues, queue)
	} else {
		c.queues[queue] = q[1:]
	}
	q[0].run()
}

// settle delivers everything.
func (c *cluster) settle() {
	for i := 0; ; i++ {
		keys := c.next()
		if len(keys) == 0 {
			return
		}
		if i > 5000 {
			var last []string
			for _, n := range c.nodes {
				for _, r := range n.records[max(0, len(n.records)-10):] {
					last = append(last, n.name+" "+string(r.Input)+"\n"+string(r.Text))
				}
			}
			c.t.Fatalf("seed %d: messages go on and on:\n%s", c.seed, strings.Join(last, "\n"))
		}
		c.deliver(keys[0])
	}
}

// wait lets time pass at all nodes.
func (c *cluster) wait(d time.Duration, after func()) {
	for end := c.now.Add(d); ; {
		var first *simNode
		for _, n := range c.nodes {
			if at := n.k.e.Deadline(); !n.lost && !at.IsZero() && !at.After(end) && (first == nil || at.Before(first.k.e.Deadline())) {
				first = n
			}
		}
		if first == nil {
			c.now = end
			return
		}
		if at := first.k.e.Deadline(); at.After(c.now) {
			c.now = at
		}
		c.step(first, Input{})
		after()
	}
}

// describe makes a description known to a node's media plane.
func (n *simNode) describe(d simDesc, kind DescKind) Desc {
	n.descs = append(n.descs, d)
	return Desc{Ref: uint64(len(n.descs) - 1), Kind: kind, Dir: d.dir, Security: d.security}
}

// make is the description that a command's media stands for.
func (n *simNode) make(m Media) simDesc {
	if m.Treatment != Source {
		d := n.descs[m.Ref]
		d.dir &= m.Dir
		d.security = orDefault(m.Security, d.security)
		return d
	}
	d := simDesc{origin: orDefault(m.Source, "silence") + "@" + n.name, dir: m.Dir, security: m.Security}
	if m.Kind == KindAnswer {
		offer := n.descs[m.Ref].dir
		d.dir &= reverse(offer)
	}
	return d
}

// reverse is the direction as the other side sees it.
func reverse(d Direction) Direction {
	out := Inactive
	if d.Sends() {
		out |= RecvOnly
	}
	if d.Receives() {
		out |= SendOnly
	}
	return out
}

// command does what an engine wants done.
func (c *cluster) command(n *simNode, cmd Command) {
	id := cmd.CommandLeg()
	if r, ok := cmd.(Ring); ok {
		l := &simLeg{id: id, node: n, invite: r.Media}
		n.legs[id] = l
		if r.Target.Node != "" {
			c.tie(l, r)
			return
		}
		l.phone = c.phones[r.Target.Device+r.Target.Trunk]
		if l.phone == nil { // an applet: it answers
			l.phone = &simPhone{name: r.Target.Applet, node: n, trunk: true}
			c.send(l.queue(), func() { c.answer(l) })
		}
	}
	l := n.legs[id]
	switch {
	case l == nil:
	case l.phone != nil:
		c.toPhone(l, cmd)
	default:
		c.toNode(l, cmd)
	}
	if _, ok := cmd.(Release); ok {
		delete(n.legs, id)
	}
}

func (l *simLeg) queue() string { return fmt.Sprintf("phone %s %d", l.node.name, l.id) }

// tie begins a tie.
func (c *cluster) tie(l *simLeg, r Ring) {
	to := c.node(r.Target.Node)
	at := r.Target
	at.Node = ""
	c.say("%s => %s %s", l.node.name, to.name, brief(r))
	offer := l.node.make(r.Media)
	o := &simLeg{node: to, peer: l, life: l.node.life}
	l.peer, l.life = o, to.life
	life := to.life
	fails := func() { c.misses("Ring"); c.fails(l, NetworkOutOfOrder) }
	c.sendOr(tieQueue(l), func() {
		if to.lost || to.life != life {
			return
		}
		o.id = to.nextLeg
		to.nextLeg += 2
		to.legs[o.id] = o
		s := Setup{Leg: o.id, Node: l.node.name, At: &at, Calling: r.Calling, Redirecting: r.Redirecting, Hops: r.Hops, NoHops: r.Hops == 0,
			GlobalID: r.GlobalID, Far: l.id, FarCall: r.Call, Tag: r.Tag, Inside: r.Inside, Lock: r.Lock, Trust: TrustMutual, Desc: o.hears(r.Media.Kind, offer)}
		c.step(to, Input{Driver: "sip", Signal: s})
	}, fails)
}

func (c *cluster) node(name string) *simNode {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	c.t.Fatalf("there is no node %q", name)
	return nil
}

// tieQueue is the queue of what an end of a tie sends.
func tieQueue(l *simLeg) string {
	return fmt.Sprintf("tie %s %s %d %d", l.node.name, l.peer.node.name, l.node.life, l.id)
}

// hears is the description as the engine is told it: the number stays as long as the description does.
func (l *simLeg) hears(kind DescKind, d simDesc) Desc {
	if kind == KindNone {
		return Desc{}
	}
	if l.told.Ref == 0 || l.toldOf != d {
		l.told, l.toldOf = l.node.describe(d, kind), d
	}
	l.told.Kind = kind
	return l.told
}

// toNode carries a command to the other end of a tie.
func (c *cluster) toNode(l *simLeg, cmd Command) {
	o, life := l.peer, l.life
	if text := brief(cmd); text != "" {
		c.say("%s => %s %s", l.node.name, o.node.name, text)
	}
	if m, ok := cmd.(Reoffer); ok {
		l.ours = true
		_ = m
	}
	var media simDesc
	m := mediaOf(cmd)
	if m.Kind != KindNone {
		media = l.node.make(m)
	}
	c.sendOr(tieQueue(l), func() { c.arrive(o, life, cmd, m.Kind, media) }, c.loss(l, cmd))
}

func mediaOf(cmd Command) Media {
	switch cmd := cmd.(type) {
	case Ring:
		return cmd.Media
	case Progress:
		return cmd.Media
	case Answer:
		return cmd.Media
	case Confirm:
		return cmd.Media
	case Reoffer:
		return cmd.Media
	case AnswerReoffer:
		return cmd.Media
	}
	return Media{}
}

// arrive tells an engine what the other end of a tie was told.
func (c *cluster) arrive(l *simLeg, life int, cmd Command, kind DescKind, media simDesc) {
	n := l.node
	if n.lost || n.life != life || n.legs[l.id] != l {
		return
	}
	d := l.hears(kind, media)
	var s Signal
	switch cmd := cmd.(type) {
	case Alert:
		s = Alerting{l.id, cmd.Connected}
	case Progress:
		s = Progressing{l.id, d}
	case Answer:
		l.active, l.peer.active = true, true
		s = Answered{Leg: l.id, Desc: d, Connected: cmd.Connected, Trust: TrustMutual, Lock: cmd.Lock, GlobalID: cmd.GlobalID}
	case Confirm:
		s = Confirmed{l.id, d}
	case Reoffer:
		if l.ours { // RFC 3261, 14.1: both have made one; the drivers refuse each other's
			no := RejectReoffer{l.peer.id, RequestPending}
			c.sendOr(tieQueue(l), func() { c.arrive(l.peer, l.life, no, KindNone, simDesc{}) }, c.loss(l, no))
			return
		}
		s = Reoffered{l.id, d}
	case AnswerReoffer:
		l.ours = false
		s = ReofferAnswered{l.id, d}
	case RejectReoffer:
		l.ours = false
		s = ReofferRejected{l.id, cmd.Cause}
	case Identify:
		s = Identified{l.id, cmd.Connected, cmd.Inside, cmd.GlobalID}
	case SendDigit:
		s = Digit{l.id, cmd.Digit, cmd.Millis}
	case ShowLock:
		s = LockShown{l.id, cmd.Protection.Lock, cmd.Protection.Why, cmd.Via}
	case Release:
		s = Released{Leg: l.id, Cause: cmd.Cause, ToNumber: cmd.ToNumber, Why: cmd.Why}
	default:
		return
	}
	c.step(n, Input{Driver: "sip", Signal: s})
	if _, over := cmd.(Release); over {
		delete(n.legs, l.id)
	}
}

// brief is what a script shows of a command; nothing of those that are about media alone.
func brief(cmd Command) string {
	switch x := cmd.(type) {
	case Reoffer, AnswerReoffer, RejectReoffer, Confirm, Progress:
		return ""
	case Ring:
		x.Leg, x.Call, x.Media, x.Hops = 0, 0, Media{}, 0
		return Describe(x)
	case Alert:
		x.Leg = 0
		return Describe(x)
	case Answer:
		x.Leg, x.Media = 0, Media{}
		return Describe(x)
	case Identify:
		x.Leg = 0
		return Describe(x)
	case Release:
		x.Leg = 0
		return Describe(x)
	case TransferResult:
		x.Leg = 0
		return Describe(x)
	case SendDigit:
		x.Leg = 0
		return Describe(x)
	case ShowLock:
		x.Leg, x.Protection.Leg = 0, 0
		return Describe(x)
	}
	return Describe(cmd)
}

// toPhone carries a command to a phone, which does at once what phones do by themselves: it rings, and answers offers.
func (c *cluster) toPhone(l *simLeg, cmd Command) {
	p := l.phone
	if text := brief(cmd); text != "" {
		c.say("%s <- %s", p.name, text)
	}
	reply := func(make func() Signal) {
		c.send(l.queue(), func() {
			if l.node.legs[l.id] == l {
				c.step(l.node, Input{Driver: "sip", Signal: make()})
			}
		})
	}
	if m := mediaOf(cmd); m.Kind != KindNone {
		l.remote = l.node.make(m)
	}
	switch cmd := cmd.(type) {
	case Ring:
		p.legs = append(p.legs, l)
		l.ringing = true
		if cmd.Media.Kind != KindNone {
			l.remote = l.node.make(cmd.Media)
		}
		reply(func() Signal { return Alerting{Leg: l.id} })
		if cmd.AutoAnswer {
			c.send(l.queue(), func() { c.answer(l) })
		}
	case Answer:
		l.active = true
		if cmd.Media.Kind == KindOffer {
			reply(func() Signal { return Confirmed{l.id, c.answerTo(l)} })
		}
	case Reoffer:
		l.ours = true
		reply(func() Signal {
			l.ours = false
			if cmd.Media.Kind == KindNone {
				return ReofferAnswered{l.id, c.offer(l)}
			}
			return ReofferAnswered{l.id, c.answerTo(l)}
		})
	case AnswerReoffer:
		l.theirs = false
		if cmd.Media.Kind == KindOffer {
			reply(func() Signal { return Confirmed{l.id, c.answerTo(l)} })
		}
	case RejectReoffer:
		l.theirs = false
	case Release:
		c.gone(l)
	}
}

// gone takes a leg off its phone.
func (c *cluster) gone(l *simLeg) {
	delete(l.node.legs, l.id)
	l.phone.legs = slices.DeleteFunc(l.phone.legs, func(o *simLeg) bool { return o == l })
}

// security is what a phone offers, or answers to what it was offered.
func (c *cluster) security(l *simLeg) Security {
	for _, d := range c.site.Devices {
		if d.Name == l.phone.name && d.Media.SRTP == RTP {
			return RTP
		}
	}
	for _, t := range c.site.Trunks {
		if t.Name == l.phone.name && t.Media.SRTP == RTP {
			return RTP
		}
	}
	return SRTP
}

// offer is a phone's offer: sendonly while its user holds.
func (c *cluster) offer(l *simLeg) Desc {
	l.dir = SendRecv
	if l.holding {
		l.dir = SendOnly
	}
	c.seq++
	return l.node.describe(simDesc{c.seq, l.phone.name, l.dir, c.security(l)}, KindOffer)
}

// answerTo is a phone's answer to what it was offered last.
func (c *cluster) answerTo(l *simLeg) Desc {
	l.dir = reverse(l.remote.dir)
	if l.holding {
		l.dir &= SendOnly
	}
	security := c.security(l)
	if l.remote.security == RTP {
		security = RTP
	}
	c.seq++
	return l.node.describe(simDesc{c.seq, l.phone.name, l.dir, security}, KindAnswer)
}

// answer has a phone answer.
func (c *cluster) answer(l *simLeg) {
	if !l.ringing || l.node.lost || l.node.legs[l.id] != l {
		return
	}
	l.ringing, l.active = false, true
	d := c.offerOrAnswer(l)
	c.step(l.node, Input{Driver: "sip", Signal: Answered{Leg: l.id, Desc: d, Trust: TrustMutual}})
}

func (c *cluster) offerOrAnswer(l *simLeg) Desc {
	if l.invite.Kind == KindNone {
		return c.offer(l)
	}
	return c.answerTo(l)
}

// call has a phone call a number.
func (c *cluster) call(p *simPhone, s Setup) {
	n := p.node
	l := &simLeg{id: n.nextLeg, node: n, phone: p}
	n.nextLeg += 2
	n.legs[l.id] = l
	p.legs = append(p.legs, l)
	s.Leg, s.Trust = l.id, TrustMutual
	if s.Device = p.name; p.trunk {
		s.Device, s.Trunk = "", p.name
	}
	s.Desc = c.offer(l)
	c.step(n, Input{Driver: "sip", Signal: s})
}

// hangUp has a phone end a call, or refuse one.
func (c *cluster) hangUp(l *simLeg, r Released) {
	r.Leg = l.id
	c.gone(l)
	c.step(l.node, Input{Driver: "sip", Signal: r})
}

// reoffer has a phone hold or resume.
func (c *cluster) reoffer(l *simLeg, hold bool) {
	l.holding, l.theirs = hold, true
	c.step(l.node, Input{Driver: "sip", Signal: Reoffered{l.id, c.offer(l)}})
}

// lose kills a node: its phones go on talking, the others learn that it is gone.
func (c *cluster) lose(n *simNode) {
	n.lost = true
	for _, l := range n.legs {
		if l.phone != nil {
			l.phone.legs = slices.DeleteFunc(l.phone.legs, func(o *simLeg) bool { return o == l })
		}
	}
	for _, o := range c.nodes {
		if o != n {
			c.step(o, Input{Driver: "sip", Signal: NodeState{n.name, false}})
		}
	}
}

// expire has the drivers find that the other ends of ties are gone: the session timer (RFC 4028).
func (c *cluster) expire() {
	for _, n := range c.nodes {
		for _, id := range slices.Sorted(maps.Keys(n.legs)) {
			if l := n.legs[id]; l != nil && l.orphan() && !n.lost {
				delete(n.legs, id)
				c.step(n, Input{Driver: "sip", Signal: Released{Leg: id, Cause: RecoveryOnTimerExpiry}})
			}
		}
	}
}

// orphan says whether a tie's other end is no more.
func (l *simLeg) orphan() bool {
	return l.phone == nil && (l.peer.node.lost || l.peer.node.life != l.life || l.peer.id != 0 && l.peer.node.legs[l.peer.id] != l.peer)
}

// hearing says who hears whom, where that has changed.
func (c *cluster) hearing() {
	for _, name := range slices.Sorted(maps.Keys(c.phones)) {
		p := c.phones[name]
		var now []string
		for _, l := range p.legs {
			if l.active {
				now = append(now, l.hearing())
			}
		}
		if heard := strings.Join(now, " and "); heard != p.heard {
			p.heard = heard
			c.say("%s hears %s", p.name, orDefault(heard, "nobody any more"))
		}
	}
}

func (l *simLeg) hearing() string {
	if !l.remote.dir.Sends() || !l.dir.Receives() || strings.HasPrefix(l.remote.origin, "silence") {
		return "nothing"
	}
	return l.remote.origin
}

// agree checks what must hold between nodes when nothing is on its way: every tie has two ends, which are legs of calls with one global id.
func (c *cluster) agree() (faults []string) {
	faults = append(c.parkedTwice(), c.believe()...)
	for _, n := range c.nodes {
		if n.lost {
			continue
		}
		for _, f := range n.k.faults {
			faults = append(faults, n.name+": "+f)
		}
		for _, id := range slices.Sorted(maps.Keys(n.k.e.legs)) {
			l := n.k.e.legs[id]
			s := n.legs[id]
			switch {
			case s == nil:
				faults = append(faults, fmt.Sprintf("13: %s has leg %s, and no driver knows it", n.name, id))
			case l.tie == nil:
			case s.orphan():
				if !s.peer.node.lost && s.peer.node.life == s.life {
					faults = append(faults, fmt.Sprintf("13: %s has tie %s (%s), whose other end %s of %s is over", n.name, id, l.state, s.peer.id, s.peer.node.name))
				}
			default:
				faults = append(faults, c.sameCall(l, s)...)
			}
		}
	}
	return faults
}

// sameCall checks that both ends of a tie bear one global id, or know each other's.
func (c *cluster) sameCall(l *Leg, s *simLeg) []string {
	o := s.peer.node.k.e.legs[s.peer.id]
	if o == nil || o.tie == nil {
		return []string{fmt.Sprintf("13: tie %s of %s has no end at %s", l.id, s.node.name, s.peer.node.name)}
	}
	knows := func(l *Leg, id string) bool {
		return l.party.call.globalID == id || slices.ContainsFunc(l.few().joined, func(r CallRef) bool { return r.GlobalID == id })
	}
	if a, b := l.party.call.globalID, o.party.call.globalID; a == "" || !knows(l, b) && !knows(o, a) && len(l.few().joined)+len(o.few().joined) == 0 {
		return []string{fmt.Sprintf("14: the ends of a tie are in calls %q and %q", a, b)}
	}
	return nil
}

// clear hangs up everything and sees that nothing is left anywhere.
func (c *cluster) clear() (faults []string) {
	c.cut = false
	for _, n := range c.nodes {
		for _, o := range c.nodes {
			c.heal(n, o)
		}
	}
	c.settle()
	for range 50 {
		busy := false
		for _, n := range c.nodes {
			for _, id := range slices.Sorted(maps.Keys(n.legs)) {
				if l := n.legs[id]; l != nil && l.phone != nil && !n.lost { // applets too
					busy = true
					c.hangUp(l, Released{Cause: NormalClearing})
					c.settle()
				}
			}
		}
		c.expire()
		c.settle()
		if !busy {
			break
		}
	}
	c.wait(15*time.Minute, c.settle)
	faults = c.agree()
	for _, n := range c.nodes {
		if n.lost {
			continue
		}
		if calls, legs := n.k.e.Load(); calls != 0 || legs != 0 || len(n.offers.All()) != 0 {
			faults = append(faults, fmt.Sprintf("15: everybody has hung up and %s has %d calls, %d legs, offers %v", n.name, calls, legs, n.offers.All()))
		}
		if len(n.k.e.afar.lines)+len(n.k.e.afar.spots) != 0 {
			faults = append(faults, fmt.Sprintf("15: %s believes that others have %v", n.name, n.k.e.afar))
		}
		if _, err := Replay(n.records); err != nil {
			faults = append(faults, fmt.Sprintf("16: %s: %v", n.name, err))
		}
	}
	return faults
}
