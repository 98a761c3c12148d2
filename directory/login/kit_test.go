package login

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/secret"
)

// memory is a collection of documents without a store.
type memory struct {
	mu   sync.Mutex
	docs map[string]store.Document
	rev  int64
	down bool // writes fail as with PostgreSQL away, and wait when they are kept
}

func (m *memory) Get(_ context.Context, key string) (store.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[key]
	if !ok {
		return d, fs.ErrNotExist
	}
	return d, nil
}

func (m *memory) List(_ context.Context, prefix string) (out []store.Document, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(m.docs)) {
		if strings.HasPrefix(k, prefix) {
			out = append(out, m.docs[k])
		}
	}
	return out, nil
}

func (m *memory) PutAll(_ context.Context, writes []store.Write) (revs []int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, store.ErrUnavailable
	}
	for _, w := range writes {
		if w.IfRevision != store.AnyRevision && m.docs[w.Key].Revision != w.IfRevision {
			return nil, store.ErrConflict
		}
		revs = append(revs, m.put(w.Key, w.Value))
	}
	return revs, nil
}

func (m *memory) put(key string, value any) int64 {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	if m.docs == nil {
		m.docs = map[string]store.Document{}
	}
	m.rev++
	m.docs[key] = store.Document{Key: key, Revision: m.rev, Value: b}
	return m.rev
}

func (m *memory) Keep(_ context.Context, key string, value any) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(key, value), nil
}

func (m *memory) Delete(_ context.Context, key string, _ int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.docs, key)
	return nil
}

func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m.docs)) {
		b.WriteString(k + " " + string(m.docs[k].Value) + "\n")
	}
	return b.String()
}

// kit is a checker on a clock, with a site that can be changed.
type kit struct {
	*Checker
	t                   *testing.T
	accounts, verifiers *memory
	mu                  sync.Mutex
	site                *directory.Directory
	clock               time.Time
	directory           Directory
	warned              []string
	told                []string
}

const kitSite = `
nodes: [{name: n1}]
callManagerGroups: [{name: g, nodes: [n1]}]
devicePools: [{name: p, callManagerGroup: g}]
ldapDirectories: [{name: corp, servers: [{host: dc1.corp.test}], base: 'DC=corp,DC=test'}]
credentialPolicies:
`

var kitUsers = `
users:
  - {name: ann, password: "` + cheap("correct horse") + `"}
  - {name: bob, password: "` + cheap("battery staple") + `", disabled: true}
  - {name: cid, authentication: ldap}
  - {name: dan}
`

// cheap is a verifier that takes no time; each has another salt.
func cheap(password string) string {
	salt := []byte(rand.Text()[:16])
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt),
		base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)))
}

func newKit(t *testing.T, policy string, tune ...func(*Config)) *kit {
	t.Helper()
	k := &kit{t: t, accounts: &memory{}, verifiers: &memory{}, clock: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	k.configure(policy, kitUsers)
	cfg := Config{Site: k.current, Accounts: k.accounts, Verifiers: k.verifiers, Node: "n1", Now: k.now, Floor: time.Millisecond,
		Directory: func(*directory.User) (string, Directory) { return "corp", k.directory },
		Warn: func(text string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.warned = append(k.warned, text)
		}}
	for _, f := range tune {
		f(&cfg)
	}
	k.Checker = New(cfg)
	if err := k.dummy.UnmarshalText([]byte(cheap("nobody's"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// restart is the checker of another start, or of another node, on the same documents.
func (k *kit) restart() {
	k.Close()
	k.Checker = New(k.cfg)
	k.t.Cleanup(k.Close)
}

func (k *kit) configure(policy, users string) {
	k.t.Helper()
	text := kitSite
	if policy == "" {
		text = strings.Replace(text, "credentialPolicies:\n", "", 1)
	} else {
		text = strings.Replace(text, "credentialPolicies:\n", "credentialPolicies: ["+policy+"]\n", 1)
	}
	s, err := config.Parse("site.yaml", []byte(text+users), nil)
	if err != nil {
		k.t.Fatal(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.site = directory.Compile(1, s)
}

func (k *kit) current() *directory.Directory {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site
}

func (k *kit) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clock
}

func (k *kit) pass(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clock = k.clock.Add(d)
}

func (k *kit) try(user, password string) Result {
	return k.Check(k.t.Context(), Attempt{User: user, Password: secret.New(password), From: "192.0.2.1:4000", Service: "ctimanager"}, func(text string) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.told = append(k.told, text)
	})
}

func (k *kit) want(user, password string, reason Reason) Result {
	k.t.Helper()
	r := k.try(user, password)
	if r.Reason != reason || r.OK != (reason == Success) {
		k.t.Fatalf("%s with %q: %v (%s), want %v", user, password, r.Reason, r.Why, reason)
	}
	return r
}

// directoryOf is a directory that says what a function says.
type directoryOf func(ctx context.Context, user string, password secret.Text, stage StageFunc) Outcome

func (f directoryOf) Authenticate(ctx context.Context, user string, password secret.Text, stage StageFunc) Outcome {
	return f(ctx, user, password, stage)
}
