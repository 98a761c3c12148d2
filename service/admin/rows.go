package admin

import (
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
)

// Status is the answer of GET /v1/status and of `locktone status`.
type Status struct {
	Ready    bool                `json:"ready" doc:"every service that should run is ready"`
	Node     string              `json:"node"`
	Version  string              `json:"version"`
	PID      int                 `json:"pid"`
	Home     string              `json:"home,omitempty"`
	Revision int64               `json:"revision" doc:"newest revision of the configuration"`
	Services []bus.ServiceStatus `json:"services"`
	Store    StoreStatus         `json:"store"`
	Trace    trace.Status        `json:"trace"`
	Problems []string            `json:"problems,omitempty" doc:"one sentence each, with what to do"`
}

// StoreStatus says how the system of record is.
type StoreStatus struct {
	Engine   string `json:"engine,omitempty"`
	Location string `json:"location,omitempty"`
	OK       bool   `json:"ok"`
	Problem  string `json:"problem,omitempty"`
	// Of a record in PostgreSQL.
	Stale        bool      `json:"stale,omitempty" doc:"PostgreSQL is away: what is shown is the last state this node knows"`
	Since        time.Time `json:"since,omitzero" doc:"when PostgreSQL went away"`
	Waiting      int64     `json:"waiting,omitempty" doc:"batches of call records and settings of users in the outbox"`
	WaitingBytes int64     `json:"waitingBytes,omitempty" doc:"size of the outbox"`
}

// Rows is a list with what could not be asked.
type Rows[T any] struct {
	Rows     []T      `json:"rows"`
	Problems []string `json:"problems,omitempty" doc:"services that did not answer, one sentence each"`
}

// Plan is what a configuration file would change, or has changed.
type Plan struct {
	Base     int64    `json:"base" doc:"revision the plan was made from"`
	Revision int64    `json:"revision,omitempty" doc:"revision made by an apply"`
	Changes  []Change `json:"changes"`
}

// Change is one entity that is added, changed or removed.
type Change struct {
	Op     string        `json:"op" enum:"add,change,remove"`
	Kind   string        `json:"kind"`
	Key    string        `json:"key"`
	Fields []FieldChange `json:"fields,omitempty"`
}

// FieldChange is one field of a change; a secret shows as [redacted].
type FieldChange struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

// CertRequest asks for a certificate.
type CertRequest struct {
	Kind     string   `json:"kind" enum:"device,peer,cti-instance,service" doc:"whom it is for; a certificate of one kind never authenticates another"`
	Name     string   `json:"name" minLength:"1" maxLength:"64" doc:"device name, host name of the peer, or application instance"`
	DNSNames []string `json:"dns,omitempty" maxItems:"32"`
	IPs      []string `json:"ips,omitempty" maxItems:"32"`
	URIs     []string `json:"uris,omitempty" maxItems:"32"`
	RSA      bool     `json:"rsa,omitempty" doc:"RSA 2048 instead of ECDSA P-256"`
	Days     int      `json:"days,omitempty" minimum:"0" maximum:"3650"`
	CSR      string   `json:"csr,omitempty" maxLength:"65536" doc:"PKCS #10 request in PEM; then no key is made"`
}

// CertIssued is a certificate just made. Key is shown this once and kept nowhere.
type CertIssued struct {
	Entry       pki.Entry `json:"entry"`
	Certificate string    `json:"certificate" doc:"chain in PEM, leaf first"`
	Key         string    `json:"key,omitempty" doc:"private key in PEM (PKCS #8)"`
	CA          string    `json:"ca" doc:"the cluster's roots in PEM"`
}

// AuditRow is one entry of the audit log.
type AuditRow struct {
	ID     int64     `json:"id"`
	Time   time.Time `json:"time"`
	Actor  string    `json:"actor"`
	Source string    `json:"source,omitempty"`
	Action string    `json:"action"`
	Object string    `json:"object,omitempty"`
	Result string    `json:"result"`
	Detail string    `json:"detail,omitempty"`
}
