package admin

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
)

// Role says how much somebody may do; each includes those before it. The zero value may do nothing.
type Role uint8

// The roles.
const (
	RoleNone          Role = iota
	RoleViewer             // sees states, lists and ladders
	RoleOperator           // also sees messages, changes trace levels, resets devices and trunks, collects logs
	RoleAdministrator      // also changes configuration, issues and revokes certificates, reads the audit log
)

var roleNames = []string{"none", "viewer", "operator", "administrator"}

// String is the role's name as it stands in admin.tokens.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "none"
}

// ParseRole is the reverse of String; "none" is no role.
func ParseRole(s string) (Role, error) {
	for i, n := range roleNames {
		if i > 0 && n == s {
			return Role(i), nil
		}
	}
	return RoleNone, fmt.Errorf("admin: no role %q; the roles are viewer, operator, administrator", s)
}

// principal is who makes a request.
type principal struct {
	name   string
	role   Role
	source string // "unix" or the remote address
}

type principalKey struct{}

func who(ctx context.Context) principal {
	p, _ := ctx.Value(principalKey{}).(principal)
	return p
}

// tokens is the token file in memory. Only hashes of tokens are compared, all of them each time, so that neither the
// content nor the place of a match shows in the time it takes.
type tokens struct {
	path string

	mu      sync.Mutex
	modTime time.Time
	size    int64
	entries []tokenEntry
}

type tokenEntry struct {
	hash [sha256.Size]byte
	name string
	role Role
}

// maxTokens bounds the token file.
const maxTokens = 1000

// openTokens reads the file, or makes it with a token for one administrator.
func openTokens(path string) (*tokens, error) {
	t := &tokens{path: path}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeTokens(path); err != nil {
			return nil, err
		}
	}
	return t, t.load()
}

func makeTokens(path string) error {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand says
	text := "# Bearer tokens of the HTTPS API, one per line: role name token. Roles: viewer, operator, administrator.\n" +
		"# The file is read again when it changes: remove a line to revoke a token.\n" +
		"administrator admin " + hex.EncodeToString(b[:]) + "\n"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("admin: making the token file: %w", err)
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return fmt.Errorf("admin: making the token file: %w", err)
	}
	return f.Close()
}

// load reads the file when it is new; the mutex is not held.
func (t *tokens) load() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("admin: token file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("admin: token file %s has mode %v: others can read it; make it 0600 (chmod 600) and replace its tokens", t.path, info.Mode().Perm())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if info.ModTime().Equal(t.modTime) && info.Size() == t.size {
		return nil
	}
	entries, err := readTokens(t.path)
	if err != nil {
		return err
	}
	t.entries, t.modTime, t.size = entries, info.ModTime(), info.Size()
	return nil
}

func readTokens(path string) ([]tokenEntry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("admin: token file: %w", err)
	}
	defer f.Close()
	var out []tokenEntry
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 3 || len(words[2]) < 32 {
			return nil, fmt.Errorf("admin: %s:%d: want: role name token, the token of at least 32 characters", path, n)
		}
		role, err := ParseRole(words[0])
		if err != nil {
			return nil, fmt.Errorf("admin: %s:%d: %w", path, n, err)
		}
		if len(out) >= maxTokens {
			return nil, fmt.Errorf("admin: %s has more than %d tokens", path, maxTokens)
		}
		out = append(out, tokenEntry{sha256.Sum256([]byte(words[2])), words[1], role})
	}
	return out, lines.Err()
}

// find returns whose token it is.
func (t *tokens) find(token string) (name string, role Role, ok bool) {
	if t.load() != nil {
		return "", RoleNone, false // a file others can read, or a broken one, lets nobody in
	}
	hash := sha256.Sum256([]byte(token))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if subtle.ConstantTimeCompare(hash[:], e.hash[:]) == 1 {
			name, role, ok = e.name, e.role, true
		}
	}
	return name, role, ok
}

// attempts counts wrong tokens per address. Past the limit an address is not listened to for a while, right token or
// not, so that nothing can be learned by going on.
type attempts struct {
	mu  sync.Mutex
	now func() time.Time
	by  map[string]*attempt
}

type attempt struct {
	failed int
	since  time.Time
}

const (
	maxAttempts   = 10
	attemptWindow = time.Minute
	maxAddresses  = 4096
)

// blocked reports whether the address must wait.
func (a *attempts) blocked(addr string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.by[addr]
	if t != nil && a.now().Sub(t.since) > attemptWindow {
		delete(a.by, addr)
		t = nil
	}
	return t != nil && t.failed >= maxAttempts
}

// fail counts a wrong token.
func (a *attempts) fail(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.by) >= maxAddresses {
		clear(a.by)
	}
	t := a.by[addr]
	if t == nil {
		t = &attempt{since: a.now()}
		a.by[addr] = t
	}
	t.failed++
}

// identify finds out who makes a request.
func (s *Server) identify(r *http.Request) (principal, *Problem) {
	if p, ok := r.Context().Value(principalKey{}).(principal); ok { // the unix socket's, from the kernel
		if p.role == RoleNone {
			return p, problem(CodeUnauthorized, "the socket is for the user that runs the node, not for "+p.name)
		}
		return p, nil
	}
	host := hostOf(r.RemoteAddr)
	if s.attempts.blocked(host) {
		return principal{}, problem(CodeTooMany, "")
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || len(token) > 512 {
		return principal{}, problem(CodeUnauthorized, "the request carries no bearer token")
	}
	name, role, ok := s.tokens.find(strings.TrimSpace(token))
	if !ok {
		s.attempts.fail(host)
		return principal{}, problem(CodeUnauthorized, "the token is not in the token file")
	}
	return principal{name, role, r.RemoteAddr}, nil
}

// allowed reports why a role is not enough, or nil.
func allowed(p principal, need Role) *Problem {
	if p.role >= need {
		return nil
	}
	return problem(bus.CodeForbidden, fmt.Sprintf("%s is %s; this needs %s", p.name, p.role, need))
}

func hostOf(remote string) string {
	if i := strings.LastIndexByte(remote, ':'); i >= 0 {
		return remote[:i]
	}
	return remote
}
