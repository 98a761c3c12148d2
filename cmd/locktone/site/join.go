package site

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/custody"
	"github.com/locktone/locktone/pki/join"
)

// JoinOptions say which cluster a home folder is to belong to. Home, Member and Token must be set.
type JoinOptions struct {
	Home    string                 // folder of the node's data
	Member  string                 // https://host:port, where administration of a node of the cluster answers
	Token   func() (string, error) // reads the token, when it is needed
	Name    string                 // of this node; empty: the one the token is for, else the host name of this machine
	Address string                 // at which the node is reached; empty: the one it has towards the member
	DSNFile string                 // file with the way to the database; empty: the member's way
	Version string
}

// The files of a home folder that joining writes, all with mode 0600. node.yaml comes last: with it the folder is a node's.
const (
	nodeFile        = "node.yaml"
	dsnFile         = "pki/dsn"
	busCAFile       = "pki/bus-ca.crt"
	credentialsFile = "pki/bus.creds"
	claimName       = "join-claim" // in the node's own custody, while it joins
)

// Join makes a home folder that of a node of a cluster and says so in a sentence. A run that is killed may be repeated with the same token
// for as long as that is valid; a folder that has joined is left as it is.
func Join(ctx context.Context, o JoinOptions) (string, error) {
	own, done, err := openNewcomer(ctx, o)
	if err != nil || done != "" {
		return done, err
	}
	text, err := o.Token()
	if err != nil {
		return "", err
	}
	token, err := join.ParseToken(text)
	if err != nil {
		return "", err
	}
	r, err := newcomer(ctx, own, o)
	if err != nil {
		return "", err
	}
	grant, err := join.Dial(ctx, o.Member, token, r)
	if err != nil {
		return "", err
	}
	if err := settle(ctx, own, o, grant); err != nil {
		return "", err
	}
	return fmt.Sprintf("This machine is node %s of cluster %s (revision %d), by %s.\n", grant.Node, grant.Cluster, grant.Revision, grant.Member), nil
}

// openNewcomer opens the key folder of a home folder that is nobody's yet. done is what there is to say of one that has joined already.
func openNewcomer(ctx context.Context, o JoinOptions) (own *pki.Dir, done string, err error) {
	path := filepath.Join(o.Home, nodeFile)
	if _, err := os.Stat(filepath.Join(o.Home, "locktone.db")); err == nil {
		return nil, "", fmt.Errorf("%s holds a site of its own (locktone.db): give the new node an empty folder with --home", o.Home)
	}
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		return nil, "", err
	}
	if own, err = pki.OpenDir(filepath.Join(o.Home, "pki")); err != nil {
		return nil, "", err
	}
	if _, err := own.Load(ctx, "ca"); err == nil {
		return nil, "", fmt.Errorf("%s holds the authority of another site (pki/ca.pem): give the new node an empty folder with --home", o.Home)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return own, "", nil
	}
	node, err := config.LoadNode(path)
	if err != nil {
		return nil, "", err
	}
	_, keyed := custody.LoadKey(ctx, own)
	if keyed != nil || node.Store.DSNFile == "" && node.Store.DSN == "" {
		return nil, "", fmt.Errorf("%s is there, and was not written by joining: move it away, and put what it says back afterwards", path)
	}
	if o.Name != "" && o.Name != node.Node {
		return nil, "", fmt.Errorf("%s has joined as %s: leave --name out, or give %s a folder of its own with --home", o.Home, node.Node, o.Name)
	}
	return own, fmt.Sprintf("%s has joined as %s already: it starts.\n", o.Home, node.Node), nil
}

// newcomer is what the new node says of itself. The claim is written down before it is sent, so that whoever comes again after a crash is
// known.
func newcomer(ctx context.Context, own *pki.Dir, o JoinOptions) (join.Request, error) {
	r := join.Request{Node: o.Name, Address: o.Address, Version: o.Version}
	if o.Name != "" {
		if err := join.CheckName(o.Name); err != nil {
			return r, err
		}
	}
	if host, err := os.Hostname(); err == nil {
		r.Host, _, _ = strings.Cut(host, ".")
	}
	if r.Address == "" {
		if at := join.LocalAddress(ctx, o.Member); at.IsValid() {
			r.Address = at.String()
		}
	} else if _, err := netip.ParseAddr(r.Address); err != nil {
		return r, fmt.Errorf("--address %s: want an IP address", r.Address)
	}
	claim := make(pki.Secret, 32)
	rand.Read(claim)
	err := own.Create(ctx, claimName, claim)
	if errors.Is(err, fs.ErrExist) {
		claim, err = own.Load(ctx, claimName)
	}
	r.Claim = claim
	return r, err
}

// settle writes down what the member handed over.
func settle(ctx context.Context, own *pki.Dir, o JoinOptions, g join.Grant) error {
	if _, err := custody.ParseKey(g.ClusterKey); err != nil {
		return err
	}
	dsn := g.DSN
	if o.DSNFile != "" {
		b, err := os.ReadFile(o.DSNFile)
		if err != nil {
			return err
		}
		line, _, _ := cutLine(string(b))
		dsn = pki.Secret(line)
	}
	if err := own.Replace(ctx, custody.KeyName, g.ClusterKey); err != nil {
		return err
	}
	text := "# Written when this node joined the cluster " + g.Cluster + ".\nnode: " + g.Node + "\nstore:\n  dsnFile: " + dsnFile + "\n"
	files := []file{{dsnFile, append(dsn, '\n')}}
	if len(g.Bus.URLs) > 0 {
		text += "bus:\n  urls: [" + strings.Join(g.Bus.URLs, ", ") + "]\n"
		if len(g.Bus.CA) > 0 {
			text += "  caFile: " + busCAFile + "\n"
			files = append(files, file{busCAFile, g.Bus.CA})
		}
		if len(g.Bus.Credentials) > 0 {
			text += "  credentialsFile: " + credentialsFile + "\n"
			files = append(files, file{credentialsFile, g.Bus.Credentials})
		}
	}
	for _, f := range append(files, file{nodeFile, []byte(text)}) {
		if err := pki.WriteFile(filepath.Join(o.Home, f.name), f.text); err != nil {
			return err
		}
	}
	return own.Delete(ctx, claimName)
}
