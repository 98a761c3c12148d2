package custody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func record(t *testing.T, s *store.Store, k Key) *Record {
	t.Helper()
	r, err := NewRecord(s.Documents(Collection), k)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "record.db") }

func TestRecordSealsAndRefuses(t *testing.T) {
	s, key := openStore(t, file(t)), NewKey()
	r := record(t, s, key)
	if _, err := r.Load(t.Context(), "ca"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := r.Create(t.Context(), "ca", pki.Secret("a key nobody may read")); err != nil {
		t.Fatal(err)
	}
	if err := r.Create(t.Context(), "ca", pki.Secret("another")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	if got, err := r.Load(t.Context(), "ca"); err != nil || string(got) != "a key nobody may read" {
		t.Errorf("loaded %q, %v", []byte(got), err)
	}
	doc, err := s.Documents(Collection).Get(t.Context(), "ca")
	if err != nil || bytes.Contains(doc.Value, []byte("nobody")) {
		t.Errorf("the record shows it: %s, %v", doc.Value, err)
	}
	if _, err := record(t, s, NewKey()).Load(t.Context(), "ca"); err == nil || !strings.Contains(err.Error(), "no member of this cluster") {
		t.Errorf("another cluster's key: %v", err)
	}
	// A box under another name, and one that was changed.
	if _, err := s.Documents(Collection).Put(t.Context(), "signer/sast-1", doc.Value, store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), "signer/sast-1"); err == nil {
		t.Error("a box under another name opens")
	}
	var b box
	if err := json.Unmarshal(doc.Value, &b); err != nil {
		t.Fatal(err)
	}
	b.Sealed[len(b.Sealed)-1] ^= 1
	if _, err := s.Documents(Collection).Put(t.Context(), "ca", b, store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), "ca"); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("a box that was changed: %v", err)
	}
}

// What another node stored since is not written over.
func TestReplaceKeepsOthersWork(t *testing.T) {
	s, key := openStore(t, file(t)), NewKey()
	one, two := record(t, s, key), record(t, s, key)
	if err := one.Create(t.Context(), "ca", pki.Secret("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Load(t.Context(), "ca"); err != nil {
		t.Fatal(err)
	}
	if err := one.Replace(t.Context(), "ca", pki.Secret("2")); err != nil {
		t.Fatal(err)
	}
	if err := two.Replace(t.Context(), "ca", pki.Secret("3")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("written over: %v", err)
	}
	if got, err := two.Load(t.Context(), "ca"); err != nil || string(got) != "2" {
		t.Errorf("%q, %v", []byte(got), err)
	}
	if err := two.Replace(t.Context(), "ca", pki.Secret("3")); err != nil {
		t.Error(err)
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	k := NewKey()
	back, err := ParseKey(k.PEM())
	if err != nil || back.ID() != k.ID() || len(k.ID()) != 16 {
		t.Fatalf("%v: %s, %s", err, back.ID(), k.ID())
	}
	raw := string(k.secret)
	js, _ := json.Marshal(struct{ K Key }{k})
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprint(struct{ K Key }{k}), string(js), slog.AnyValue(k).String()} {
		if strings.Contains(text, raw) || strings.Contains(text, fmt.Sprintf("%x", raw)) {
			t.Errorf("it prints: %q", text)
		}
	}
	for _, bad := range []string{"", "-----BEGIN LOCKTONE CLUSTER KEY-----\nAAAA\n-----END LOCKTONE CLUSTER KEY-----\n"} {
		if _, err := ParseKey(pki.Secret(bad)); err == nil {
			t.Errorf("taken: %q", bad)
		}
	}
}

// keys makes one key of each sort: the names tell the authorities apart.
func keys() func(pki.Algorithm) (pki.PrivateKey, error) {
	var mu sync.Mutex
	made := map[pki.Algorithm]pki.PrivateKey{}
	return func(a pki.Algorithm) (pki.PrivateKey, error) {
		mu.Lock()
		defer mu.Unlock()
		if k, ok := made[a]; ok {
			return k, nil
		}
		k, err := pki.GenerateKey(a)
		made[a] = k
		return k, err
	}
}

func openCA(t *testing.T, s *store.Store, own pki.Custody, key Key, k func(pki.Algorithm) (pki.PrivateKey, error)) (*pki.CA, *pki.Signers, error) {
	t.Helper()
	cfg := pki.Config{Custody: Split{record(t, s, key), own}, Register: s.Certificates(), Keys: k}
	ca, err := pki.Open(t.Context(), cfg)
	if err != nil {
		return nil, nil, err
	}
	signers, err := pki.OpenSigners(t.Context(), cfg)
	return ca, signers, err
}

func folder(t *testing.T) *pki.Dir {
	t.Helper()
	d, err := pki.OpenDir(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Two nodes that open the same empty record at once get one authority and one set of signers.
func TestOneAuthority(t *testing.T) {
	dsn, key := postgres.Need(t).Database(t), NewKey()
	var pems [2][]byte
	var signers [2]string
	var wg sync.WaitGroup
	k := keys()
	for i := range 2 {
		s, own := openStore(t, dsn), folder(t)
		wg.Go(func() {
			ca, sig, err := openCA(t, s, own, key, k)
			if err != nil {
				t.Error(err)
				return
			}
			pems[i] = ca.RootsPEM()
			for _, x := range sig.All() {
				signers[i] += pki.Fingerprint(x.Certificate)
			}
		})
	}
	wg.Wait()
	if !bytes.Equal(pems[0], pems[1]) || signers[0] != signers[1] || signers[0] == "" {
		t.Error("two authorities")
	}
}

// A site that was on a file takes its authority along, also when the move is cut short; another site's is refused.
func TestAdopt(t *testing.T) {
	s, own, key, k := openStore(t, file(t)), folder(t), NewKey(), keys()
	cfg := pki.Config{Custody: own, Register: s.Certificates(), Keys: k}
	ca, err := pki.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := ca.RootsPEM()
	old, err := own.Load(t.Context(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	split := Split{record(t, s, key), own}
	moved, err := split.Adopt(t.Context())
	if err != nil || len(moved) != 1 {
		t.Fatalf("moved %v: %v", moved, err)
	}
	if _, err := own.Load(t.Context(), "ca"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still in the folder: %v", err)
	}
	if err := own.Create(t.Context(), "ca", old); err != nil { // killed between the record and the folder
		t.Fatal(err)
	}
	if moved, err = split.Adopt(t.Context()); err != nil || len(moved) != 1 {
		t.Fatalf("again %v: %v", moved, err)
	}
	cfg.Custody = split
	if ca, err = pki.Open(t.Context(), cfg); err != nil || !bytes.Equal(ca.RootsPEM(), before) {
		t.Fatalf("another authority: %v", err)
	}
	stranger := folder(t)
	if _, err := pki.Open(t.Context(), pki.Config{Custody: stranger, Register: s.Certificates(), Keys: k}); err != nil {
		t.Fatal(err)
	}
	if _, err := (Split{record(t, s, key), stranger}).Adopt(t.Context()); err == nil || !strings.Contains(err.Error(), "another site") {
		t.Errorf("another site's: %v", err)
	}
	if _, err := stranger.Load(t.Context(), "ca"); err != nil {
		t.Errorf("and it is gone: %v", err)
	}
}

// The first node makes the cluster key, and keeps it; a stranger to a record in use makes none.
func TestOpenKey(t *testing.T) {
	s, own := openStore(t, file(t)), folder(t)
	docs := s.Documents(Collection)
	key, err := OpenKey(t.Context(), own, docs)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := OpenKey(t.Context(), own, docs); err != nil || again.ID() != key.ID() {
		t.Errorf("another key: %v", err)
	}
	if err := record(t, s, key).Create(t.Context(), "ca", pki.Secret("x")); err != nil {
		t.Fatal(err)
	}
	stranger := folder(t)
	if _, err := OpenKey(t.Context(), stranger, docs); err == nil || !strings.Contains(err.Error(), "up --join") {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := LoadKey(t.Context(), stranger); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("and it made a key: %v", err)
	}
}
