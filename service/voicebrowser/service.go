package voicebrowser

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/voicebrowser/speech"
	"github.com/locktone/locktone/service/voicebrowser/worker"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "voicebrowser"

// Config says where a voice browser runs and what it stands on. Store, Bus, Identity and Addresses must be set.
type Config struct {
	Node      string
	Version   string
	Addresses []netip.Addr
	// Folder is the home folder: sound that an engine has made is kept in it, under speech; empty: in memory alone.
	Folder   string
	Store    Store
	Bus      *bus.Bus
	Identity *pki.Identity
	Trace    *trace.Recorder
	Media    media.PlaneConfig
	Timers   transaction.Timers
	Limits   endpoint.Limits
	Conns    transport.Limits
	Network  element.Network
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
	// Worker is the command of a session's process; none: this program. Think and Actions are those of worker.Config.
	Worker  []string
	Think   time.Duration
	Actions int
}

// Store is what the voice browser needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
}

// Service is a running voice browser. Each call belongs to the goroutine of its session.
type Service struct {
	cfg        Config
	now        func() time.Time
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	workers    sync.WaitGroup
	site       atomic.Pointer[site]
	el         *element.Element
	pool       *worker.Pool
	speaker    *speech.Speaker
	sounds     *sounds
	sorry      []int16 // what a caller hears whose session has failed
	live       sessions
	responders bus.Responders
	problem    atomic.Pointer[string]
	counts     counts
}

// counts are what the metrics count.
type counts struct {
	sessions, failed, documents, refused, troubles, fetches, fetchesFailed, recordings, transfers atomic.Uint64
}

// Start starts a voice browser with the configuration that is in the store. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, now: cfg.Now, sounds: newSounds()}
	if s.now == nil {
		s.now = time.Now
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		_ = s.Close(ctx) // what counts is why it could not start
		return nil, fmt.Errorf("voice browser: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	c := &s.cfg
	if len(c.Addresses) == 0 || c.Identity == nil || c.Bus == nil || c.Store == nil {
		return errors.New("Config needs Addresses, Identity, Bus and Store")
	}
	snapshot, err := c.Store.Site(ctx)
	if err != nil {
		return err
	}
	settings := snapshot.Site.VoiceBrowserOf(c.Node)
	if err := s.prepare(ctx, settings); err != nil {
		return err
	}
	tlsMax := uint16(0)
	if settings.TLS == config.TLSOnly12 {
		tlsMax = tls.VersionTLS12
	}
	s.el, err = element.Start(ctx, element.Config{Service: Name, Node: c.Node, Version: c.Version, Domain: snapshot.Site.Cluster.WithDefaults().Domain, Addresses: c.Addresses, Source: c.Addresses[0],
		Identity: c.Identity, Trace: c.Trace, Media: c.Media, Timers: c.Timers, Limits: c.Limits, Conns: c.Conns, Network: c.Network, Now: c.Now, KeyLog: c.KeyLog,
		TLSMax: tlsMax, Policy: policy{s}, Sessions: settings.Sessions})
	if err != nil {
		return err
	}
	if err := s.use(snapshot); err != nil {
		return err
	}
	changes := c.Store.Watch(s.ctx)
	s.workers.Go(func() { s.follow(changes) })
	return s.answer()
}

// prepare makes what lives as long as the service: the processes, and who speaks.
func (s *Service) prepare(ctx context.Context, v config.VoiceBrowser) (err error) {
	said := speech.Config{Engine: v.Speech.Engine.String(), Command: v.Speech.Command, Voice: v.Speech.Voice, Language: v.Speech.Language, Timeout: v.Speech.Timeout.D(),
		Disk: int64(v.Speech.CacheMiB) << 20}
	if s.cfg.Folder != "" {
		said.Folder = filepath.Join(s.cfg.Folder, "speech")
	}
	if s.speaker, err = speech.Open(said); err != nil {
		return err
	}
	if s.sorry, err = s.speaker.Say(ctx, speech.Text{Text: "an error has occurred", Language: "en"}); err != nil {
		return err
	}
	s.pool = worker.Open(worker.Config{Command: s.cfg.Worker, Spares: v.Spares, Sessions: v.Sessions, Memory: uint64(v.SessionMemory) << 20, Think: s.cfg.Think, Actions: s.cfg.Actions,
		Trouble: func(why string) { s.warn(why) }})
	return nil
}

// use takes a configuration into force. Sessions that run keep what they have.
func (s *Service) use(snapshot store.Snapshot) error {
	next, err := s.compile(snapshot, s.site.Load())
	if err != nil {
		return err
	}
	if err := s.el.Configure(next.model, next.peers); err != nil {
		return fmt.Errorf("revision %d: %w", snapshot.Revision.Number, err)
	}
	s.site.Store(next)
	return nil
}

// configRetry is how often a configuration is tried again that could not be taken into force whole.
const configRetry = 2 * time.Second

// follow takes every change of the store into force; what could not be taken (a port that somebody else has) is tried again.
func (s *Service) follow(changes <-chan store.Snapshot) {
	var failed *store.Snapshot
	again := time.NewTicker(configRetry)
	defer again.Stop()
	for {
		select {
		case snapshot, open := <-changes:
			if !open {
				return
			}
			if snapshot.Revision.Number > s.site.Load().revision {
				failed = s.take(snapshot)
			}
		case <-again.C:
			if failed != nil {
				failed = s.take(*failed)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Service) take(snapshot store.Snapshot) (failed *store.Snapshot) {
	err := s.use(snapshot)
	if err == nil {
		s.problem.Store(nil)
		s.el.Note("", fmt.Sprintf("configuration revision %d is in force", snapshot.Revision.Number))
		return nil
	}
	text := err.Error()
	if old := s.problem.Swap(&text); old == nil || *old != text {
		s.warn(text)
	}
	return &snapshot
}

// warn notes what an operator should look at.
func (s *Service) warn(why string) {
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: trace.Error, Summary: why})
}

// note writes into the trace of a call.
func (s *Service) note(level trace.Level, info applet.Info, text string) {
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: level, Leg: info.Leg.String(), Call: info.GlobalID, Summary: text})
}

// Drain refuses new calls and waits until those that are have ended, or ctx has.
func (s *Service) Drain(ctx context.Context) error { return s.el.Drain(ctx) }

// Element is the SIP element, for laboratories.
func (s *Service) Element() *element.Element { return s.el }

// Close ends every call and every process, and releases everything. ctx bounds how long it waits for transactions to end.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	s.cancel()
	if s.el != nil {
		s.el.DropCalls(ctx)
	}
	if s.pool != nil {
		s.pool.Close() // the documents' last words are cut short
	}
	var err error
	if s.el != nil {
		err = s.el.Abandon(ctx)
	}
	s.workers.Wait()
	if x := s.site.Load(); x != nil {
		x.client.Close()
	}
	return err
}

// policy lets calls in.
type policy struct{ s *Service }

// Arrival implements element.Policy: a call of a peer, to a document of an origin or to a number that has one.
func (p policy) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	a := element.Arrival{Peer: in.Peer}
	if in.Refused != nil {
		p.s.counts.refused.Add(1)
		return a, in.Refused
	}
	uri, x := in.Message.RequestURI(), p.s.site.Load()
	doc, named := uri.Params.Get("voicexml")
	var refusal *sipleg.Refusal
	switch number := uri.User; {
	case named:
		if err := x.client.Allowed(unescaped(doc)); err != nil {
			refusal = &sipleg.Refusal{Status: 403, Cause: call.CallRejected, Warning: err.Error()}
		}
		if a.Called = prefix; strings.Trim(number, "0123456789*#+") == "" {
			a.Called += number
		}
	case number == dialog || x.application(number) == "":
		refusal = &sipleg.Refusal{Status: 404, Cause: call.UnallocatedNumber, Warning: errNoDocument.Error()}
	default:
		a.Called = prefix + number
	}
	if refusal != nil {
		p.s.counts.refused.Add(1)
	}
	return a, refusal
}

// Program implements element.Policy.
func (p policy) Program(name string) applet.Program {
	if name == appletRun {
		return p.s.program
	}
	return nil
}

// sessions are those that run, for operators.
type sessions struct {
	mu  sync.Mutex
	all map[call.LegID]Session
}

// Session is a row of `locktone show voicebrowser`.
type Session struct {
	Leg, Call, GlobalID string
	Calling, Called     string
	URL                 string
	Since               time.Time
}

func (s *sessions) add(i applet.Info, url string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[call.LegID]Session{}
	}
	s.all[i.Leg] = Session{Leg: i.Leg.String(), Call: i.Call.String(), GlobalID: i.GlobalID, Calling: i.Calling.Number, Called: strings.TrimPrefix(i.Called, prefix), URL: url, Since: now}
}

func (s *sessions) remove(id call.LegID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

func (s *sessions) list() (out []Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Session) int { return a.Since.Compare(b.Since) })
	return out
}
