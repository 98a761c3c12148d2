package pki

import (
	"path/filepath"
	"testing"
	"time"
)

// A certificate says on which node its service runs; one from before there were nodes is bound by the node that holds its key.
func TestServiceOfNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register")
	reg, err := OpenRegister(path)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := Open(t.Context(), Config{Custody: keys, Register: reg})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := ca.Trust()
	if err != nil {
		t.Fatal(err)
	}
	who := func(c Certificates) (string, string, bool) {
		return trust.Verify(c.Client[0].Chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, time.Now()).Service()
	}
	spec := ServiceSpec{Name: "callmanager", Host: "cm.lab.test", Listed: true}
	old, err := ca.Service(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if s, n, ok := who(old); s != "callmanager" || n != "" || !ok {
		t.Errorf("before nodes: %q %q %v", s, n, ok)
	}
	spec.Node = "n1"
	again, err := ca.Service(t.Context(), spec)
	if err != nil || again.Generation != old.Generation {
		t.Fatalf("the first start as a node made generation %d of %d: %v", again.Generation, old.Generation, err)
	}
	r := trust.Verify(old.Client[0].Chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, time.Now())
	if !r.IsService("callmanager", "n1") || r.IsService("callmanager", "n2") || r.IsService("callmanager", "") || r.IsService("tvs", "n1") {
		t.Error("not bound to n1")
	}
	if stem, err := ca.Stem(t.Context(), "callmanager"); stem != "cm.lab.test" || err != nil {
		t.Errorf("stem %q, %v", stem, err)
	}
	if stem, err := ca.Stem(t.Context(), "tvs"); stem != "" || err != nil {
		t.Errorf("stem of what is not there %q, %v", stem, err)
	}
	phone, err := ca.Issue(t.Context(), Request{Kind: KindDevice, Name: "callmanager"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := trust.Verify(phone.Credential.Chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, time.Now()).Service(); ok {
		t.Error("a phone called callmanager is a service")
	}
	if err := ca.Revoke(t.Context(), RefOf(old.Client[0].Leaf()), "gone"); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := who(old); ok {
		t.Error("a revoked certificate proves something")
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	if reg, err = OpenRegister(path); err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	if ca, err = Open(t.Context(), Config{Custody: keys, Register: reg}); err != nil {
		t.Fatal(err)
	}
	if e, err := reg.Lookup(t.Context(), RefOf(old.Server[0].Leaf())); err != nil || e.Node != "n1" {
		t.Errorf("after a restart: node %q, %v", e.Node, err)
	}
	// The keys of one node on another: they are not that node's.
	spec.Node = "n2"
	moved, err := ca.Service(t.Context(), spec)
	if err != nil || moved.Generation != 2 {
		t.Errorf("generation %d on the other node: %v", moved.Generation, err)
	}
}
