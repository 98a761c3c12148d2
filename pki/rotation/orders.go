package rotation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/locktone/locktone/pki"
)

// RecoveryName is the member that is the site's last resort.
const RecoveryName = pki.Recovery

// safe builds the steps in which nobody loses the last way to the next list.
//
// One group of members is rotated at a time, with both generations in the lists between publishing and retiring: so there is
// always something a device holds that still works, and a list stays under the 64 KiB that phones read. The order of
// rotating everything:
//
//  1. The roots are made, announced and put in use first, so that what is issued afterwards is issued for long. Their
//     predecessors go last: LSCs stand on them until the last device has renewed.
//  2. CAPF next: the devices that renew their LSCs have to verify it.
//  3. The signers one by one, while TVS and the other signers are in place; the recovery identity as the last of them.
//  4. TVS alone, while a signer that devices know is in place, then provisioning.
//  5. The call manager last: a device that completes a handshake with its new certificate proves that it holds a list which
//     names that certificate, hence one that names all the others. No fetched file proves as much. With that proof the last
//     predecessors go.
//
// The former signers and roots are retired behind everything else: as long as they are there, a device that sleeps through it
// all holds up no other step. Signers alone are followed by the call manager as well: without that handshake nobody could
// prove that their predecessors are not needed any more.
func (b *builder) safe(t Target, groups [][]string) {
	var late [][]string
	if t == ITL || t == Recovery {
		groups = append(slices.Clone(groups), groupsOf(b.s, CallManager)...)
	}
	for _, members := range groups {
		b.add(Step{Action: Stage, Members: members, Why: b.why(Stage, members)})
		b.add(Step{Action: Publish, Why: "lists name the former and the new generation"})
		b.guarded(Step{Action: Activate, Members: members, Why: b.why(Activate, members)})
		retire := Step{Action: Retire, Members: members, Why: b.why(Retire, members)}
		if len(groups) > 1 && (b.kind(members) != Service || len(b.needed(retire)) > 0) {
			late = append(late, members)
			continue
		}
		b.guarded(retire)
		b.add(Step{Action: Publish, Why: "lists name the new generation only"})
	}
	for _, members := range late {
		b.guarded(Step{Action: Retire, Members: members, Why: b.why(Retire, members)})
	}
	if late != nil {
		b.add(Step{Action: Publish, Why: "lists name the new generations only"})
	}
}

func (b *builder) isRoot(members []string) bool { return b.kind(members) == Root }

func (b *builder) kind(members []string) Kind {
	m, _ := b.s.Member(members[0])
	return m.Kind
}

// why explains a step on members of one kind.
func (b *builder) why(a Action, members []string) string {
	if a == Activate && slices.Equal(members, []string{RecoveryName}) {
		return "the last resort from now on: it signs only for those who know no other signer"
	}
	return map[Action][3]string{
		Stage:    {"made and listed, presented by nobody yet", "made and listed, signs nothing yet", "made and trusted, issues nothing yet"},
		Activate: {"the next handshake presents it; calls and connections stay", "the next list is signed with it; the former key signs the variant for those who know only that", "what is issued from now on is issued by it, and every LSC under the former one is renewed"},
		Retire:   {"not presented any more: its key is destroyed", "nobody needs a list signed with it any more: its key is destroyed", "no certificate stands on it any more: its key is destroyed"},
	}[a][b.kind(members)]
}

// ordersOf are the orders of a target, the safe one left out.
func ordersOf(t Target) []Order {
	switch t {
	case All:
		return []Order{AtOnce, OneByOne}
	case ITL:
		return []Order{OneByOne, SignersTogether, SignersWithTVS}
	}
	return []Order{AtOnce}
}

// compared are the orders worth comparing with the one chosen. What people do to the signers belongs to rotating
// everything as well.
func compared(s State, t Target, groups [][]string) (cs []comparison) {
	for _, o := range ordersOf(t) {
		cs = append(cs, comparison{o, t, groups})
	}
	if signers := groupsOf(s, ITL); t == All && signers != nil {
		cs = append(cs, comparison{SignersTogether, ITL, signers}, comparison{SignersWithTVS, ITL, signers})
	}
	return cs
}

// comparison is an order of a target.
type comparison struct {
	order  Order
	target Target
	groups [][]string
}

// what says what an order does.
func (o Order) what(t Target) string {
	switch o {
	case Safe:
		return "each with overlap, one after the other"
	case AtOnce:
		if t == All {
			return "everything replaced in one go"
		}
		return fmt.Sprintf("%s replaced in one go, without overlap", t)
	case OneByOne:
		return "each replaced in one go, without overlap, nobody waited for"
	case SignersTogether:
		return "both signers replaced in one go"
	case SignersWithTVS:
		return "both signers and TVS replaced in one go"
	}
	return string(o)
}

// naive builds the steps of an order that is not the safe one.
func (b *builder) naive(o Order, t Target, groups [][]string) error {
	if !slices.Contains(ordersOf(t), o) {
		return unknown("there is no order %q for %s: choose %s, or none for the safe one", o, t, join(ordersOf(t)))
	}
	switch o {
	case AtOnce, SignersTogether:
		groups = [][]string{slices.Concat(groups...)}
	case SignersWithTVS:
		groups = [][]string{slices.Concat(append(groups, groupsOf(b.s, TVS)...)...)}
	}
	for _, members := range groups {
		b.add(Step{Action: Replace, Members: members, Why: "replaced without overlap"})
	}
	return nil
}

// proving says how those prove what they know whom a plan waits for; empty when it waits for nobody.
func proving(steps []Step) string {
	var list, lscs, peers string
	activated := false // a certificate of the call manager that only the new lists name
	for _, st := range steps {
		if st.Action == Activate && strings.HasPrefix(st.Members[0], string(CallManager)) {
			activated = true
		}
		if st.Action != Wait {
			continue
		}
		if len(st.Gate.Peers) > 0 {
			peers = "The operator of a trunk's far end has to install it, and locktone trust told notes that he has."
		}
		switch {
		case st.Gate.own() == nil:
		case st.Gate.LSCs:
			lscs = "LSCs are renewed by CAPF, those of devices that do not speak it by locktone cert issue."
		case list != "":
		case activated:
			list = "A device confirms the lists by a full handshake with the new certificate of the call manager, which only they name."
		default:
			list = "That a device fetched a list does not prove that it took it: a full handshake with a new certificate of the call manager does. " +
				"None comes before this plan waits, so those that must confirm hold it up until locktone trust accept gives them up."
		}
	}
	return strings.Join(slices.DeleteFunc([]string{list, lscs, peers}, func(s string) bool { return s == "" }), " ")
}
