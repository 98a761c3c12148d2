package fetch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/pki"
)

// Origin is where something may be fetched from.
type Origin struct {
	URL      string   // https://host[:port]; with http it is an exception
	Subjects []string // of its certificate, one of which it must bear; none: the host
	MinTLS   uint16   // zero: 1.2
	MaxTLS   uint16   // zero: 1.3
}

// Config configures a Client. Without origins nothing can be fetched.
type Config struct {
	Identity *pki.Identity // nil: no TLS, for tests
	Origins  []Origin
	Agent    string
	Timeout  time.Duration    // where a request names none; zero: 10s
	MaxBody  int64            // octets; zero: 4 MiB
	Cache    int64            // octets of bodies kept; zero: 32 MiB, negative: none
	Now      func() time.Time // nil: time.Now
	KeyLog   pki.KeyLogWriter
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil: the system's
}

// Unsaid is MaxAge and MaxStale of who says nothing.
const Unsaid = time.Duration(-1)

// Request is one fetch.
type Request struct {
	URL      string
	Method   string // GET when empty
	Type     string // of Body
	Body     []byte
	Timeout  time.Duration // zero: Config.Timeout
	MaxBody  int64         // zero: Config.MaxBody
	MaxAge   time.Duration // negative: not said. RFC 9111, 5.2.1.1
	MaxStale time.Duration // negative: not said. RFC 9111, 5.2.1.2
}

// Response is what came.
type Response struct {
	Status int
	URL    string // after redirects
	Type   string // media type without parameters
	Body   []byte
	Cached bool // no word was exchanged with the origin
}

// Error says why nothing came. Denied: it may not be fetched from there. Timeout: the time was over.
type Error struct {
	URL             string
	Denied, Timeout bool
	Err             error
}

func (e *Error) Error() string { return e.URL + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Client fetches. Its methods are safe for concurrent use.
type Client struct {
	cfg     Config
	origins map[string]*origin
	cache   *cache
	now     func() time.Time
}

type origin struct {
	Origin
	key  string
	http *http.Client
}

// maxRedirects bounds the hops of one fetch.
const maxRedirects = 5

// New makes a client. An origin that is none is an error.
func New(cfg Config) (*Client, error) {
	cfg.Timeout, cfg.MaxBody, cfg.Cache = cmp.Or(cfg.Timeout, 10*time.Second), cmp.Or(cfg.MaxBody, 4<<20), cmp.Or(cfg.Cache, 32<<20)
	c := &Client{cfg: cfg, origins: map[string]*origin{}, now: cfg.Now}
	if c.now == nil {
		c.now = time.Now
	}
	c.cache = newCache(cfg.Cache, c.now)
	for _, o := range cfg.Origins {
		u, err := url.Parse(o.URL)
		if err != nil {
			return nil, fmt.Errorf("fetch: origin %q: %w", o.URL, err)
		}
		key, err := originOf(u)
		if err != nil {
			return nil, fmt.Errorf("fetch: origin %q: %w", o.URL, err)
		}
		c.origins[key] = &origin{Origin: o, key: key, http: c.client(o, u)}
	}
	return c, nil
}

// originOf is the origin of a URL as a string. RFC 6454, 4.
func originOf(u *url.URL) (string, error) {
	port := u.Port()
	switch u.Scheme {
	case "https":
		port = cmp.Or(port, "443")
	case "http":
		port = cmp.Or(port, "80")
	default:
		return "", fmt.Errorf("%q is neither https nor http", u.Scheme)
	}
	if u.Hostname() == "" || u.User != nil {
		return "", errors.New("expected scheme://host[:port], without user and password")
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

func (c *Client) client(o Origin, u *url.URL) *http.Client {
	t := &http.Transport{DialContext: c.cfg.Dial, MaxIdleConnsPerHost: 8, MaxConnsPerHost: 64, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: false,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, TLSHandshakeTimeout: c.cfg.Timeout}
	if c.cfg.Identity != nil && u.Scheme == "https" {
		names, kinds := pki.Names{Subjects: o.Subjects}, pki.KindsOf(pki.KindService, pki.KindPeer)
		if len(o.Subjects) == 0 {
			names = pki.Names{Host: u.Hostname()}
		}
		t.TLSClientConfig = c.cfg.Identity.ClientConfig(pki.ClientPolicy{ServerName: u.Hostname(),
			TLSPolicy: pki.TLSPolicy{MinVersion: o.MinTLS, MaxVersion: o.MaxTLS, KeyLog: c.cfg.KeyLog}, Peer: pki.PeerPolicy{Kinds: kinds, Names: names}})
	} else {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Close ends idle connections.
func (c *Client) Close() {
	for _, o := range c.origins {
		o.http.CloseIdleConnections()
	}
}

// Allowed says whether a URL may be fetched, with the reason where not.
func (c *Client) Allowed(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return &Error{URL: raw, Err: err}
	}
	_, err = c.originFor(u)
	return err
}

func (c *Client) originFor(u *url.URL) (*origin, error) {
	key, err := originOf(u)
	if err != nil {
		return nil, &Error{URL: u.Redacted(), Denied: u.User != nil, Err: err}
	}
	o := c.origins[key]
	if o == nil {
		return nil, &Error{URL: u.Redacted(), Denied: true, Err: fmt.Errorf("%s is none of the origins that the voice browser is configured to fetch from", key)}
	}
	return o, nil
}

// Fetch fetches. An answer with any status is a Response; the error is an *Error.
func (c *Client) Fetch(ctx context.Context, r Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, c.cfg.Timeout))
	defer cancel()
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, &Error{URL: r.URL, Err: err}
	}
	u.Fragment = ""
	r.Method = cmp.Or(r.Method, http.MethodGet)
	for range maxRedirects + 1 {
		res, next, err := c.hop(ctx, u, &r)
		var known *Error
		switch {
		case errors.As(err, &known):
			return nil, err
		case err != nil:
			return nil, &Error{URL: u.Redacted(), Timeout: errors.Is(err, context.DeadlineExceeded), Err: plain(err)}
		case next == nil:
			return res, nil
		}
		u = next
	}
	return nil, &Error{URL: u.Redacted(), Err: fmt.Errorf("more than %d redirects", maxRedirects)}
}

// plain is an error of net/http without the URL it begins with.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// hop is one exchange, or none where the cache has what is asked for; next is where a redirect leads.
func (c *Client) hop(ctx context.Context, u *url.URL, r *Request) (res *Response, next *url.URL, err error) {
	o, err := c.originFor(u)
	if err != nil {
		return nil, nil, err
	}
	var stored *entry
	if r.Method == http.MethodGet {
		stored = c.cache.get(u.String())
		if stored.usable(c.now(), r.MaxAge, r.MaxStale) {
			return stored.response(u, true), nil, nil
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, nil, err
	}
	c.header(req, r, stored)
	asked := c.now()
	answer, err := o.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	if to := answer.Header.Get("Location"); to != "" && redirects(answer.StatusCode) {
		if next, err = u.Parse(to); err != nil {
			return nil, nil, fmt.Errorf("the redirect to %q: %w", to, err)
		}
		next.Fragment = ""
		// RFC 9110, 15.4: 307 and 308 keep method and content; the others are followed by GET, as browsers do.
		if s := answer.StatusCode; s != http.StatusTemporaryRedirect && s != http.StatusPermanentRedirect {
			r.Method, r.Body, r.Type = http.MethodGet, nil, ""
		}
		return nil, next, nil
	}
	return c.taken(u, r, stored, answer, asked)
}

func redirects(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

func (c *Client) header(req *http.Request, r *Request, stored *entry) {
	req.Header.Set("User-Agent", cmp.Or(c.cfg.Agent, "Locktone"))
	req.Header.Set("Accept", "application/voicexml+xml, application/srgs+xml, text/xml, application/xml, audio/*, */*;q=0.5")
	if r.Type != "" {
		req.Header.Set("Content-Type", r.Type)
	}
	if r.MaxAge >= 0 {
		req.Header.Set("Cache-Control", "max-age="+strconv.Itoa(int(r.MaxAge/time.Second)))
	}
	if stored != nil && stored.etag != "" {
		req.Header.Set("If-None-Match", stored.etag)
	}
	if stored != nil && stored.modified != "" {
		req.Header.Set("If-Modified-Since", stored.modified)
	}
}

// taken reads an answer and keeps what may be kept.
func (c *Client) taken(u *url.URL, r *Request, stored *entry, answer *http.Response, asked time.Time) (*Response, *url.URL, error) {
	if answer.StatusCode == http.StatusNotModified && stored != nil {
		fresh := stored.revalidated(answer.Header, asked)
		c.cache.put(u.String(), fresh)
		return fresh.response(u, false), nil, nil
	}
	limit := cmp.Or(r.MaxBody, c.cfg.MaxBody)
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("larger than %d octets", limit)
	}
	media, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		media = "" // none, or none that can be read: what it is shows
	}
	e := newEntry(answer.StatusCode, answer.Header, media, body, asked)
	switch {
	case r.Method != http.MethodGet && answer.StatusCode < 400:
		c.cache.drop(u.String()) // RFC 9111, 4.4: an unsafe method invalidates what is stored for the URL
	case r.Method == http.MethodGet && e.storable():
		c.cache.put(u.String(), e)
	}
	return e.response(u, false), nil, nil
}
