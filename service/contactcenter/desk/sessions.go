package desk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// sessionLife is how long a token is good without a login: a long shift.
const sessionLife = 16 * time.Hour

// sessions are the desktops that are logged in, by the digest of their token.
type sessions struct {
	kept Sessions
	most int
	mu   sync.Mutex
	all  map[string]Session
}

// errFull says that there are too many.
var errFull = errors.New("too many desktops are logged in: log out those that are not used")

func (s *sessions) load(ctx context.Context, kept Sessions, now time.Time) (err error) {
	s.kept = kept
	if s.all, err = kept.Load(ctx); err != nil {
		return err
	}
	if s.all == nil {
		s.all = map[string]Session{}
	}
	return s.sweep(ctx, now)
}

// sweep forgets sessions that are over.
func (s *sessions) sweep(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	var over []string
	for key, x := range s.all {
		if !now.Before(x.Until) {
			over = append(over, key)
			delete(s.all, key)
		}
	}
	s.mu.Unlock()
	for _, key := range over {
		if err := s.kept.Forget(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// digest is what is kept of a token.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// open makes a session and its token.
func (s *sessions) open(ctx context.Context, agent string, now time.Time) (token string, err error) {
	if err := s.sweep(ctx, now); err != nil {
		return "", err
	}
	token = rand.Text()
	x := Session{Agent: agent, Until: now.Add(sessionLife)}
	s.mu.Lock()
	if len(s.all) >= s.most {
		s.mu.Unlock()
		return "", errFull
	}
	s.all[digest(token)] = x
	s.mu.Unlock()
	if err := s.kept.Keep(ctx, digest(token), x); err != nil {
		s.mu.Lock()
		delete(s.all, digest(token))
		s.mu.Unlock()
		return "", err
	}
	return token, nil
}

// closeAll ends every session of an agent.
func (s *sessions) closeAll(ctx context.Context, agent string) error {
	s.mu.Lock()
	var keys []string
	for key, x := range s.all {
		if x.Agent == agent {
			keys = append(keys, key)
			delete(s.all, key)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, key := range keys {
		errs = append(errs, s.kept.Forget(ctx, key))
	}
	return errors.Join(errs...)
}

// closeToken ends one session.
func (s *sessions) closeToken(ctx context.Context, token string) error {
	s.mu.Lock()
	delete(s.all, digest(token))
	s.mu.Unlock()
	return s.kept.Forget(ctx, digest(token))
}

// of is whose token a request shows; key names the session without being the token.
func (s *sessions) of(header string, now time.Time) (agent, key string, ok bool) {
	token, bearer := strings.CutPrefix(header, "Bearer ")
	if !bearer {
		return "", "", false
	}
	key = digest(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.all[key]
	if !ok || !now.Before(x.Until) {
		return "", "", false
	}
	return x.Agent, key, true
}

// tokenOf is the header field, or what a browser's WebSocket, which cannot send one, offers as a subprotocol: "bearer", "TOKEN".
func tokenOf(r *http.Request) string {
	if h := r.Header.Get("Authorization"); h != "" {
		return h
	}
	offered := strings.Split(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",")
	if len(offered) == 2 && strings.TrimSpace(offered[0]) == subprotocol {
		return "Bearer " + strings.TrimSpace(offered[1])
	}
	return ""
}

const subprotocol = "bearer"
