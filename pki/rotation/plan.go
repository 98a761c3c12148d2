package rotation

// Target is what is to be rotated.
type Target string

// The targets. All is every member, in the order that CanonicalOrder explains.
const (
	CallManager  Target = "callmanager"
	Provisioning Target = "provisioning"
	TVS          Target = "tvs"
	ITL          Target = "itl" // the two list signers, one after the other
	Recovery     Target = "recovery"
	CAPF         Target = "capf"
	CA           Target = "ca"
	All          Target = "all"
)

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

const (
	Stage    Action = "stage"    // make the next generation of the members; nothing presents it
	Publish  Action = "publish"  // build and sign lists of what exists now
	Wait     Action = "wait"     // until the gate opens
	Activate Action = "activate" // the staged generation is presented, signs, issues; of the roots: LSC renewals are ordered
	Retire   Action = "retire"   // the former generation is forgotten and its key destroyed
	Replace  Action = "replace"  // stage, activate, retire and publish in one go: only in orders that are not safe
)

// Step is one step of a plan.
type Step struct {
	Number  int      `json:"number"`
	Action  Action   `json:"action"`
	Members []string `json:"members,omitempty"`
	IDs     []ID     `json:"ids,omitempty"` // generations made, activated, retired
	Gate    *Gate    `json:"gate,omitempty"`
	Why     string   `json:"why"`
	// Victims are stranded by the step although they were not before; Stuck is why a gate would never open for them.
	Victims []Victim `json:"victims,omitempty"`
}

// Gate is what a wait waits for: before the Next action, every device in Needed must hold something by which it survives it;
// those in Hoped are awake and would have one failed handshake, so they are given time.
type Gate struct {
	For    Action   `json:"for"` // the action that waits
	Know   []ID     `json:"know,omitempty"`
	Needed []string `json:"needed,omitempty"`
	Hoped  int      `json:"hoped,omitempty"`
	Asleep int      `json:"asleep,omitempty"` // neither: they recover when they wake up
}

// Victim is a device that a step strands.
type Victim struct {
	Device string `json:"device"`
	Why    string `json:"why"`
}

// Outcome is an order with its victims.
type Outcome struct {
	Order   Order    `json:"order"`
	What    string   `json:"what"`
	Steps   int      `json:"steps"`
	Victims []Victim `json:"victims"`
}

// Plan is a rotation thought through.
type Plan struct {
	Target   Target    `json:"target"`
	Order    Order     `json:"order,omitempty"`
	Devices  int       `json:"devices"`
	Steps    []Step    `json:"steps"`
	Others   []Outcome `json:"others,omitempty"`  // orders not taken
	Already  []Victim  `json:"already,omitempty"` // stranded before anything is done
	Victims  []Victim  `json:"victims,omitempty"`
	Accepted []string  `json:"accepted,omitempty"` // victims the operator named
	Refused  string    `json:"refused,omitempty"`  // why it must not be applied; empty: it may
}

// Options refine a plan.
type Options struct {
	Order Order
	// Accept names the victims the operator takes upon himself; every one has to be named.
	Accept []string
}

// New plans a rotation. It fails when the target is unknown, has no member, or a rotation of it is under way (a staged or
// retiring generation); a plan with victims is no error but has Refused set.
func New(s State, ds []Device, target Target, o Options) (Plan, error) { panic("soon") }
