package join

import (
	"encoding/json"
	"fmt"

	"github.com/locktone/locktone/pki"
)

// Path is where a member welcomes new nodes: GET gives a Welcome to anybody, POST takes a Request and answers with a Grant.
const Path = "/v1/join"

// MaxBody bounds a request and an answer, in bytes.
const MaxBody = 256 << 10

// Welcome is what anybody may know.
type Welcome struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`  // the member
	Roots   string `json:"roots"` // PEM: the certificates of the CA; the token pins them
}

// Request redeems a token.
type Request struct {
	ID      string
	Secret  pki.Secret
	Claim   pki.Secret // random: who asks again is known by it
	Node    string     // the name of the new node; empty: the one the token is for, else Host
	Host    string     // what its machine is called
	Address string     // where it is reached; empty: it has none of its own yet
	Version string     // of its program
}

type requestWire struct {
	ID      string `json:"id"`
	Secret  []byte `json:"secret"`
	Claim   []byte `json:"claim"`
	Node    string `json:"node,omitempty"`
	Host    string `json:"host,omitempty"`
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"`
}

// Encode is the request as it is sent, its secrets included.
func (r Request) Encode() ([]byte, error) {
	return json.Marshal(requestWire{r.ID, r.Secret, r.Claim, r.Node, r.Host, r.Address, r.Version})
}

// DecodeRequest reads what Encode wrote. The error does not repeat what was sent.
func DecodeRequest(b []byte) (Request, error) {
	var w requestWire
	if err := json.Unmarshal(b, &w); err != nil {
		return Request{}, fmt.Errorf("the request of the new node cannot be read: want JSON with id, secret, claim and node")
	}
	return Request{w.ID, w.Secret, w.Claim, w.Node, w.Host, w.Address, w.Version}, nil
}

// Grant is what a new node gets. Its secrets do not print.
type Grant struct {
	Cluster    string
	Node       string
	Member     string     // who handed it over
	Revision   int64      // with which the node is in the configuration
	ClusterKey pki.Secret // PEM; package pki/custody
	DSN        pki.Secret // of the record
	Bus        Bus
}

// Bus is how nodes reach an operator's NATS cluster; its zero value: the nodes' own servers find each other.
type Bus struct {
	URLs        []string
	CA          []byte     // PEM; empty: the cluster's CA
	Credentials pki.Secret // a NATS credentials file
}

type grantWire struct {
	Cluster    string  `json:"cluster"`
	Node       string  `json:"node"`
	Member     string  `json:"member"`
	Revision   int64   `json:"revision"`
	ClusterKey []byte  `json:"cluster_key"`
	DSN        []byte  `json:"dsn"`
	Bus        busWire `json:"bus"`
}

type busWire struct {
	URLs        []string `json:"urls,omitempty"`
	CA          []byte   `json:"ca,omitempty"`
	Credentials []byte   `json:"credentials,omitempty"`
}

// Encode is the grant as it is sent, its secrets included.
func (g Grant) Encode() ([]byte, error) {
	return json.Marshal(grantWire{g.Cluster, g.Node, g.Member, g.Revision, g.ClusterKey, g.DSN, busWire{g.Bus.URLs, g.Bus.CA, g.Bus.Credentials}})
}

// DecodeGrant reads what Encode wrote.
func DecodeGrant(b []byte) (Grant, error) {
	var w grantWire
	if err := json.Unmarshal(b, &w); err != nil || len(w.ClusterKey) == 0 || len(w.DSN) == 0 || w.Node == "" {
		return Grant{}, fmt.Errorf("the member's answer is not what a new node needs: is it of another version?")
	}
	return Grant{w.Cluster, w.Node, w.Member, w.Revision, w.ClusterKey, w.DSN, Bus{w.Bus.URLs, w.Bus.CA, w.Bus.Credentials}}, nil
}
