package call

import "time"

// An Input is one thing for the engine to digest: exactly one of Signal, Request and Config is set, or none of them (a Tick).
type Input struct {
	Signal Signal
	// Request with its ID, which comes back in the Reply.
	Request   Request
	RequestID string
	// By says who asked (user or application), for events and traces.
	By     string
	Config *Config
}

// An Output is what one Step produced, in order.
type Output struct {
	Commands []Order
	Events   []Event
	// Reply answers the input's Request, nil for other inputs.
	Reply *Reply
}

// An Order is a Command with the name of the driver it is for.
type Order struct {
	Driver  string
	Command Command
}

// An Engine holds the calls of one node and service. One goroutine owns it; it has no lock.
type Engine struct {
}

// New makes an engine without calls and without configuration: it refuses every Setup until the first Config.
func New() *Engine { return &Engine{} }

// Step digests one input. The Output's slices are the caller's to keep.
func (e *Engine) Step(now time.Time, in Input) Output { panic("not yet") }

// Deadline is when the engine wants a Step with an empty Input (a Tick) at the latest; zero means never.
func (e *Engine) Deadline() time.Time { return time.Time{} }

// Calls are pictures of all calls, in order of their ids.
func (e *Engine) Calls() []*View { return nil }

// A Config is a compiled Site. It is immutable.
type Config struct{ site Site }

// Compile checks the site and makes the tables the engine works with. The error names every fault found.
func (s Site) Compile() (*Config, error) { return nil, nil }

// Site is the plain data the configuration was compiled from; it must not be changed.
func (c *Config) Site() Site { return c.site }
