package voicebrowser

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
	"github.com/locktone/locktone/service/voicebrowser/worker"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

func TestMain(m *testing.M) {
	if worker.IsWorker(os.Args) {
		os.Exit(worker.Main(os.Stdin, os.Stdout, interpreter.Run))
	}
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// records is a store of one site.
type records struct {
	site    *config.Site
	number  int64
	changes chan store.Snapshot
}

func (r *records) Site(context.Context) (store.Snapshot, error) {
	return store.Snapshot{Revision: store.Revision{Number: r.number}, Site: r.site.Clone()}, nil
}

func (r *records) Watch(context.Context) <-chan store.Snapshot { return r.changes }

// web is the server of the test's documents: what its paths say, sounds of one frequency under /tone/HZ/MS, and what was submitted to it.
type web struct {
	*httptest.Server
	t         testing.TB
	mu        sync.Mutex
	docs      map[string]string
	submitted chan *http.Request // with its form parsed
}

func newWeb(t testing.TB, id *pki.Identity) *web {
	w := &web{t: t, docs: map[string]string{}, submitted: make(chan *http.Request, 64)}
	w.Server = httptest.NewUnstartedServer(w)
	w.TLS = id.ServerConfig(pki.ServerPolicy{Peers: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService), Names: pki.Names{Subjects: []string{"voicebrowser.test"}}}})
	w.StartTLS()
	t.Cleanup(w.Close)
	return w
}

func (w *web) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	var hz, ms int
	if n, _ := fmt.Sscanf(r.URL.Path, "/tone/%d/%d", &hz, &ms); n == 2 {
		to.Header().Set("Content-Type", "audio/x-wav")
		to.Header().Set("Cache-Control", "max-age=1000")
		_, _ = to.Write(wav.Append(nil, sine(hz, ms)))
		return
	}
	if r.Method == http.MethodPost {
		_ = r.ParseMultipartForm(1 << 22)
		w.submitted <- r
	}
	w.mu.Lock()
	doc, ok := w.docs[r.URL.Path]
	w.mu.Unlock()
	if !ok {
		http.NotFound(to, r)
		return
	}
	to.Header().Set("Content-Type", "application/voicexml+xml")
	fmt.Fprintf(to, `<?xml version="1.0"?><vxml version="2.1" xmlns="http://www.w3.org/2001/vxml" xml:lang="en-US">%s</vxml>`, doc)
}

func sine(hz, ms int) []int16 {
	pcm := make([]int16, ms*8)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(2*math.Pi*float64(hz)*float64(i)/8000))
	}
	return pcm
}

// submission is what was posted next.
func (w *web) submission(ctx context.Context) *http.Request {
	w.t.Helper()
	select {
	case r := <-w.submitted:
		return r
	case <-ctx.Done():
		w.t.Fatal("nothing is submitted")
	}
	return nil
}

func part(t testing.TB, r *http.Request, name string) []byte {
	t.Helper()
	f, _, err := r.FormFile(name)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, err)
	return b
}

// lab is a voice browser with a web server and callers.
type lab struct {
	t    testing.TB
	ca   *elementtest.Authority
	s    *Service
	web  *web
	addr netip.Addr
}

// newLab starts one. Documents are by path; the number 5000 and those of numbers run them.
func newLab(t testing.TB, docs map[string]string, edit ...func(*Config, *config.VoiceBrowser)) *lab {
	t.Helper()
	l := &lab{t: t, ca: elementtest.NewAuthority(t), addr: elementtest.Address(t)}
	local := netip.MustParseAddr("127.0.0.1")
	l.web = newWeb(t, l.ca.Identity("callserver", "callserver.test", []netip.Addr{local}))
	v := config.VoiceBrowser{Name: "default", Peers: []config.VoicePeer{{Name: "cvp", AcceptedSubjects: []string{"caller.test"}}}, Origins: []config.VoiceOrigin{{URL: l.web.URL}},
		Speech: config.Speech{Engine: config.SpeechNone}}
	for path, doc := range docs {
		l.web.docs["/"+path] = doc
		v.Applications = append(v.Applications, config.VoiceApplication{Pattern: path, URL: l.web.URL + "/" + path})
	}
	b, err := bus.Open(t.Context(), bus.Config{Node: "n1", Cluster: "c"})
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	cfg := Config{Node: "n1", Version: "test", Addresses: []netip.Addr{l.addr}, Bus: b, Limits: endpoint.Limits{},
		Identity: l.ca.Identity(Name, Name+".test", []netip.Addr{l.addr})}
	for _, e := range edit {
		e(&cfg, &v)
	}
	if cfg.Store == nil {
		cfg.Store = &records{number: 1, site: &config.Site{VoiceBrowsers: []config.VoiceBrowser{v}}, changes: make(chan store.Snapshot, 8)}
	}
	l.s, err = Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = l.s.Close(ctx) // a call that is still up is ended
	})
	return l
}

// call calls a number and waits until it is answered.
func (l *lab) call(ctx context.Context, number string) *phone.Call {
	l.t.Helper()
	c := l.dial(ctx, "caller.test", number)
	must(l.t, c.WaitAnswered(ctx))
	return c
}

func (l *lab) dial(ctx context.Context, subject, number string) *phone.Call {
	l.t.Helper()
	p, err := phone.Start(ctx, phone.Config{Number: "4711", Server: netip.AddrPortFrom(l.addr, 5061).String(), ServerName: l.addr.String(),
		Certificate: l.ca.Peer(subject), Roots: l.ca.Roots(), NoRegister: true})
	must(l.t, err)
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	c, err := p.Dial(ctx, number)
	must(l.t, err)
	return c
}

// hears waits for a tone.
func (l *lab) hears(ctx context.Context, c *phone.Call, hz float64) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if got, err := c.WaitTone(ctx, hz); err != nil {
		l.t.Fatalf("wanted %v Hz, heard %v Hz: %v", hz, got, err)
	}
}

// ends waits for the end of a call by the voice browser.
func (l *lab) ends(ctx context.Context, c *phone.Call) {
	l.t.Helper()
	if status, by, err := c.WaitEnded(ctx); err != nil || !by {
		l.t.Fatalf("ended with %d, by the browser %v: %v", status, by, err)
	}
}

// audio is an audio element of a tone.
func audio(hz, ms int) string { return fmt.Sprintf(`<audio src="/tone/%d/%d"/>`, hz, ms) }

// digitsField is a field that takes so many digits.
func digitsField(name string, most int, attrs string, content ...string) string {
	return fmt.Sprintf(`<field name="%s" type="digits?minlength=1;maxlength=%d" %s>%s</field>`, name, most, attrs, strings.Join(content, ""))
}
