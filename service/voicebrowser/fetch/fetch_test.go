package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/pki"
)

// site is a server that counts what it is asked, and a client that may fetch from it.
type site struct {
	*Client
	url  string
	mu   sync.Mutex
	seen []*http.Request
	time time.Time
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.time = s.time.Add(d)
}

func newSite(t *testing.T, serve http.HandlerFunc) *site {
	s := &site{time: time.Now()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{Origins: []Origin{{URL: server.URL}}, Now: s.now, MaxBody: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s.Client, s.url = c, server.URL
	return s
}

func (s *site) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// TestFreshness: what is fresh is not asked for again, what is stale is asked for with its validators, and the document's maxage and maxstale
// count as RFC 9111 and VoiceXML 2.0, 6.1.2 have it.
func TestFreshness(t *testing.T) {
	control := ""
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", control)
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, "body")
	})
	for i, step := range []struct {
		control       string
		wait          time.Duration
		age, stale    time.Duration
		asks          int
		path          string
		conditionally bool
	}{
		{"max-age=10", 0, Unsaid, Unsaid, 1, "/a", false},
		{"max-age=10", 9 * time.Second, Unsaid, Unsaid, 0, "/a", false},
		{"max-age=10", 0, 5 * time.Second, Unsaid, 1, "/a", true}, // too old for who asks; 304 makes it new
		{"max-age=10", 11 * time.Second, Unsaid, 5 * time.Second, 0, "/a", false},
		{"max-age=10", 0, Unsaid, Unsaid, 1, "/a", true},
		{"max-age=10, must-revalidate", 11 * time.Second, Unsaid, Unsaid, 1, "/a", true},
		{"max-age=10", 11 * time.Second, Unsaid, time.Hour, 1, "/a", true}, // must-revalidate of the last answer
		{"no-store", 0, Unsaid, Unsaid, 1, "/b", false},
		{"no-store", 0, Unsaid, time.Hour, 1, "/b", false},
		{"no-cache, max-age=100", 0, Unsaid, Unsaid, 1, "/c", false},
		{"no-cache", 0, Unsaid, time.Hour, 1, "/c", true},
		{"max-age=100", 0, 0, Unsaid, 1, "/d", false},
		{"max-age=100", time.Second, 0, Unsaid, 1, "/d", true}, // maxage="0": always asked
	} {
		control = step.control
		s.pass(step.wait)
		before := s.asked()
		res, err := s.Fetch(t.Context(), Request{URL: s.url + step.path, MaxAge: step.age, MaxStale: step.stale})
		if err != nil || string(res.Body) != "body" || res.Status != 200 {
			t.Fatalf("step %d: %+v, %v", i, res, err)
		}
		if n := s.asked() - before; n != step.asks || res.Cached != (n == 0) {
			t.Errorf("step %d: asked %d times, wanted %d; cached %v", i, n, step.asks, res.Cached)
		} else if n > 0 && (s.seen[len(s.seen)-1].Header.Get("If-None-Match") != "") != step.conditionally {
			t.Errorf("step %d: If-None-Match %q", i, s.seen[len(s.seen)-1].Header.Get("If-None-Match"))
		}
	}
	if st := s.Stats(); st.Entries != 3 || st.Hits == 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestOrigins: nothing is fetched from elsewhere, whichever way it is said, and a redirect leads nowhere else either.
func TestOrigins(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other origin was asked") }))
	defer elsewhere.Close()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL+"/private", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		case "/seeother":
			http.Redirect(w, r, "/there", http.StatusSeeOther)
		default:
			fmt.Fprint(w, r.Method)
		}
	})
	for _, u := range []string{elsewhere.URL + "/x", s.url + "/away", "file:///etc/passwd", strings.Replace(s.url, "http://", "http://user:secret@", 1),
		strings.Replace(s.url, "http", "https", 1), "http://localhost:1/", "//x", "/x", "", "http://[::1", "builtin:x"} {
		_, err := s.Fetch(t.Context(), Request{URL: u, MaxAge: Unsaid, MaxStale: Unsaid})
		var e *Error
		if !errors.As(err, &e) || strings.HasPrefix(u, "http://") && !strings.Contains(u, "[") && !e.Denied {
			t.Errorf("%s: %v", u, err)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
	if _, err := s.Fetch(t.Context(), Request{URL: s.url + "/loop", MaxAge: Unsaid}); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("endless redirects: %v", err)
	}
	for path, method := range map[string]string{"/here": "POST", "/seeother": "GET"} {
		res, err := s.Fetch(t.Context(), Request{URL: s.url + path, Method: "POST", Body: []byte("a=b"), MaxAge: Unsaid})
		if err != nil || string(res.Body) != method || !strings.HasSuffix(res.URL, "/there") {
			t.Errorf("%s: %+v, %v", path, res, err)
		}
	}
	if _, err := New(Config{Origins: []Origin{{URL: "ftp://a.test"}}}); err == nil {
		t.Error("ftp is taken for an origin")
	}
}

func TestBounds(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
			return
		}
		fmt.Fprint(w, strings.Repeat("x", 1<<16+1))
	})
	if _, err := s.Fetch(t.Context(), Request{URL: s.url + "/big", MaxAge: Unsaid}); err == nil || !strings.Contains(err.Error(), "larger than 65536") {
		t.Error(err)
	}
	_, err := s.Fetch(t.Context(), Request{URL: s.url + "/slow", Timeout: 50 * time.Millisecond, MaxAge: Unsaid})
	var e *Error
	if !errors.As(err, &e) || !e.Timeout {
		t.Error(err)
	}
	for i := range 10000 {
		s.cache.put(fmt.Sprint(i), &entry{body: make([]byte, 8<<10)})
	}
	if st := s.Stats(); st.Octets > 32<<20 || st.Entries < 3000 {
		t.Errorf("the cache has %+v", st)
	}
}

// TestMutualTLS: the server sees the browser's client certificate, must bear its own name, and the versions of TLS are those chosen.
func TestMutualTLS(t *testing.T) {
	ca := elementtest.NewAuthority(t)
	local := netip.MustParseAddr("127.0.0.1")
	theirs, ours := ca.Identity("callserver", "callserver.test", []netip.Addr{local}), ca.Identity("voicebrowser", "voicebrowser.test", []netip.Addr{local})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.TLS.PeerCertificates[0].Subject.CommonName, tls.VersionName(r.TLS.Version))
	}))
	server.TLS = theirs.ServerConfig(pki.ServerPolicy{Peers: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService)}})
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	for _, test := range []struct {
		origin Origin
		want   string
	}{
		{Origin{URL: server.URL}, "voicebrowser.test TLS 1.3"},
		{Origin{URL: server.URL, Subjects: []string{"callserver.test"}, MaxTLS: tls.VersionTLS12}, "voicebrowser.test TLS 1.2"},
		{Origin{URL: server.URL, MinTLS: tls.VersionTLS13}, "voicebrowser.test TLS 1.3"},
		{Origin{URL: server.URL, Subjects: []string{"other.test"}}, ""},
	} {
		c, err := New(Config{Identity: ours, Origins: []Origin{test.origin}})
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Fetch(context.Background(), Request{URL: server.URL + "/", MaxAge: Unsaid})
		switch {
		case test.want == "" && (err == nil || !strings.Contains(err.Error(), "other.test")):
			t.Errorf("a server that may not bear the name: %+v, %v", res, err)
		case test.want != "" && (err != nil || !strings.HasPrefix(string(res.Body), strings.Fields(test.want)[0][:5]) || !strings.HasSuffix(string(res.Body), test.want[len(test.want)-7:])):
			t.Errorf("%+v: %v, %v", test.origin, res, err)
		}
		c.Close()
	}
}
