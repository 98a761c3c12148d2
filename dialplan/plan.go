package dialplan

// A Plan is a compiled dial plan: immutable, safe for concurrent use.
type Plan struct {
	rules Rules
}

// Compile checks the rules and builds the plan. The error joins every fault found, each a *RuleError.
func Compile(r Rules) (*Plan, error) { return &Plan{rules: r}, nil }

// Route answers a query.
func (p *Plan) Route(q Query) Result { return Result{} }

// Explain answers a query and tells, step by step, why.
func (p *Plan) Explain(q Query) (Result, []Step) { return Result{}, nil }

// A Step is one line of an explanation.
type Step struct {
	// Pattern is the pattern the step is about, nil for remarks.
	Pattern *Pattern
	// Sentence says what happened ("9.0XXXXXXXXX in PSTN matches ... 10^9 strings; loses to ...").
	Sentence string
}
