package bus

import (
	"context"
	"crypto/tls"
	"time"
)

// Config of Open. The zero value is an embedded server without a port.
type Config struct {
	// URLs of a NATS cluster. Empty: embedded.
	URLs []string
	// TLS is used with URLs of scheme tls. nil: the system's roots.
	TLS *tls.Config
	// CredentialsFile is a NATS credentials file.
	CredentialsFile string
	// Cluster and Node name this end, for subjects. Default: locktone, node1.
	Cluster, Node string
	// MaxPayload bounds one message in bytes. Default: 1 MiB.
	MaxPayload int
	// ConnectTimeout bounds the first connection. Default: 5 s.
	ConnectTimeout time.Duration
}

// Subject names what a message is about: locktone.<cluster>.<node>.<service>.<verb...>.
type Subject struct {
	Cluster, Node, Service string
	Verb                   string // may hold several tokens divided by dots
}

// Any stands for every node or service in a Subject.
const Any = "*"

// Message is a value received.
type Message[T any] struct {
	Subject string
	Value   T
	// Lagged is set on the first value after a gap: take a new snapshot.
	Lagged bool
}

// Answer is what one node said.
type Answer[T any] struct {
	Node  string `json:"node"`
	Value T      `json:"value"`
	// Err is set when the node refused or did not answer in time.
	Err *Error `json:"error,omitempty"`
}

// Handler answers a request. A returned *Error keeps its code; any other error
// becomes CodeInternal.
type Handler[Req, Res any] func(ctx context.Context, req Req) (Res, error)
