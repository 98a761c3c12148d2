// Package desktop is an agent's desktop for tests and scenarios: a client of the agents' API of the contact centre (docs/agents-api.md).
package desktop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/locktone/locktone/service/contactcenter/desk"
)

// Port is where desktops are served unless the site says otherwise.
const Port = "8445"

// A Desktop is that of one agent, who has logged in.
type Desktop struct {
	http  http.Client
	url   string
	token string
}

// LogIn logs an agent in at the contact centre that serves desktops at an address.
func LogIn(ctx context.Context, at netip.Addr, roots *x509.CertPool, user, password string) (*Desktop, error) {
	d := &Desktop{url: "https://" + net.JoinHostPort(at.String(), Port), http: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}}
	var session struct{ Token string }
	if err := d.Do(ctx, http.MethodPost, "/v1/session", map[string]string{"user": user, "password": password}, &session); err != nil {
		return nil, err
	}
	d.token = session.Token
	return d, nil
}

// Do makes a request of the API. body and into, where not nil, are JSON.
func (d *Desktop) Do(ctx context.Context, method, path string, body, into any) error {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, send)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	res, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(b)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}

// Agent is the agent now.
func (d *Desktop) Agent(ctx context.Context) (a desk.Agent, err error) {
	return a, d.Do(ctx, http.MethodGet, "/v1/agents/me", nil, &a)
}

// View is what the agent sees: the team, the queues, the agent's own contact; of a supervisor the contacts of the teams as well.
func (d *Desktop) View(ctx context.Context) (v desk.View, err error) {
	return v, d.Do(ctx, http.MethodGet, "/v1/view", nil, &v)
}

// State asks for a state: ready, not-ready, logged-out.
func (d *Desktop) State(ctx context.Context, state string) error {
	return d.Do(ctx, http.MethodPut, "/v1/agents/me/state", map[string]string{"state": state}, nil)
}

// Press presses a key of the agent's phone: answer, hold, resume, release, ...
func (d *Desktop) Press(ctx context.Context, action string) error {
	return d.Do(ctx, http.MethodPost, "/v1/agents/me/phone", map[string]string{"action": action}, nil)
}

// poll is how often Until looks.
const poll = 50 * time.Millisecond

// Until waits until the agent is as wanted; what says that for the error.
func (d *Desktop) Until(ctx context.Context, what string, ok func(desk.Agent) bool) (a desk.Agent, err error) {
	for {
		if a, err = d.Agent(ctx); err == nil && ok(a) {
			return a, nil
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return a, fmt.Errorf("%s: never: the agent is %s %s since %v, phone %+v, %v", what, a.State, a.Reason, a.Since, a.Phone, err)
		}
	}
}

// Is waits for a state.
func (d *Desktop) Is(ctx context.Context, state string) error {
	_, err := d.Until(ctx, state, func(a desk.Agent) bool { return a.State == state })
	return err
}
