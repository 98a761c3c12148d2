package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/locktone/locktone/pki"
)

// ErrPin: who answers is not the cluster that made the token. Nothing secret was sent.
var ErrPin = errors.New("this is not the cluster that made the token")

// Refusal is a member's answer that is not a grant.
type Refusal struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

// Error is what the member said, and what to do.
func (r *Refusal) Error() string { return "the member refuses: " + r.Detail }

// timeout of one of the two requests.
const timeout = 30 * time.Second

// defaultPort is administration's.
const defaultPort = "8443"

// Dial redeems a token at a member: https://host or https://host:port. The secret is sent only to who proves to be of the cluster that the
// token pins, under the name or address that was dialled.
func Dial(ctx context.Context, member string, token Token, r Request) (Grant, error) {
	host, addr, err := parseMember(member)
	if err != nil {
		return Grant{}, err
	}
	r.ID, r.Secret = token.ID, token.Secret
	pinned, err := welcome(ctx, addr, token)
	if err != nil {
		return Grant{}, err
	}
	pool := x509.NewCertPool()
	for _, c := range pinned {
		pool.AddCert(c)
	}
	sent, err := r.Encode()
	if err != nil {
		return Grant{}, err
	}
	// crypto/tls verifies the chain and the name before the first byte of the request is written.
	got, err := exchange(ctx, addr, http.MethodPost, sent, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: host})
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown), errors.As(err, &invalid):
		return Grant{}, fmt.Errorf("%w: %s shows a certificate that its CA did not issue for a server: %v", ErrPin, addr, err)
	case errors.As(err, &name):
		return Grant{}, fmt.Errorf("%w: the member's certificate does not bear the name dialled: %v: dial one that it has, or let administration of the member listen on that address (admin.address in its node.yaml)", ErrPin, err)
	case err != nil:
		return Grant{}, err
	}
	return DecodeGrant(got)
}

// parseMember is the name to verify and the address to dial.
func parseMember(member string) (host, addr string, err error) {
	u, err := url.Parse(member)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Path != "" && u.Path != "/" {
		return "", "", fmt.Errorf("%q is not where a member answers: want https://HOST:%s, the address administration of a node listens on", member, defaultPort)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	return u.Hostname(), net.JoinHostPort(u.Hostname(), port), nil
}

// welcome fetches the certificates of the member's CA and compares them with the pin. The connection is not verified: what it brings is.
func welcome(ctx context.Context, addr string, token Token) ([]*x509.Certificate, error) {
	got, err := exchange(ctx, addr, http.MethodGet, nil, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	var w Welcome
	if err := json.Unmarshal(got, &w); err != nil {
		return nil, fmt.Errorf("%s does not answer as a member of a cluster does: is this administration of a node, and of this version?", addr)
	}
	roots, err := pki.ParseCertificates([]byte(w.Roots))
	if err != nil {
		return nil, fmt.Errorf("%s: the certificates of its CA: %w", addr, err)
	}
	if Pin(roots) != token.Pin {
		return nil, fmt.Errorf("%w: the CA of %s is another than the one pinned in the token: check the address; where the CA was replaced since the token was made, make another token", ErrPin, addr)
	}
	return roots, nil
}

// exchange makes one request on a connection of its own.
func exchange(ctx context.Context, addr, method string, body []byte, t *tls.Config) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: t, DisableKeepAlives: true, DisableCompression: true, Proxy: nil}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+addr+Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", addr, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, MaxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", addr, err)
	}
	if res.StatusCode == http.StatusOK {
		return got, nil
	}
	refusal := &Refusal{}
	if json.Unmarshal(got, refusal) != nil || refusal.Detail == "" {
		return nil, fmt.Errorf("%s answered %s: is this administration of a node, and of this version?", addr, res.Status)
	}
	return nil, refusal
}

// LocalAddress is the address this machine has towards a member; zero when that is loopback.
func LocalAddress(ctx context.Context, member string) netip.Addr {
	_, addr, err := parseMember(member)
	if err != nil {
		return netip.Addr{}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", addr) // nothing is sent
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	at, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil || at.Addr().IsLoopback() {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
