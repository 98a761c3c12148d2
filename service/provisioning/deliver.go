package provisioning

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/tftp"
)

// front is the service as the TFTP server sees it.
type front struct{ s *Service }

// Open implements tftp.Files.
func (f front) Open(ctx context.Context, q tftp.Query) (*tftp.Content, error) {
	b, err := f.s.library.find(ctx, question{name: q.Name, remote: q.Remote.Addr()})
	switch {
	case errors.Is(err, errNotFound):
		f.s.ended(delivery{protocol: overTFTP, name: q.Name, remote: q.Remote, local: q.Local, body: b, err: err})
		return nil, &tftp.Error{Code: tftp.CodeNotFound, Message: "no such file"}
	case err != nil:
		f.s.ended(delivery{protocol: overTFTP, name: q.Name, remote: q.Remote, local: q.Local, body: b, err: err})
		return nil, errors.Join(tftp.ErrSilent, err)
	}
	return &tftp.Content{ReaderAt: b, Size: b.size, Close: b.close, Tag: b}, nil
}

// Ended implements tftp.Observer.
func (f front) Ended(t tftp.Transfer) {
	if b, ok := t.Tag.(*body); ok { // the others were told of when they were opened
		f.s.ended(delivery{protocol: overTFTP, name: t.Name, remote: t.Remote, local: t.Local, body: b, bytes: t.Bytes, took: t.Took, err: t.Err, sent: true})
	}
}

// delivery is how a request ended.
type delivery struct {
	protocol      protocol
	name          string
	remote, local netip.AddrPort
	body          *body // with its file; nothing else when err is set and sent is not
	bytes         int64
	took          time.Duration
	sent          bool // a body was found and its sending begun
	err           error
}

// result is an outcome in metrics and traces.
type result uint8

const (
	delivered result = iota
	notFound
	busy
	failed // the body was not there, for a reason of ours
	broken // the client went away, or was too slow
)

var results = [...]string{"delivered", "not-found", "busy", "failed", "broken"}

func (r result) String() string { return results[r] }

func (d *delivery) result() result {
	switch {
	case d.err == nil:
		return delivered
	case d.sent, errors.Is(d.err, context.Canceled): // cancelled: a TFTP client began anew, an HTTP connection closed
		return broken
	case errors.Is(d.err, errNotFound):
		return notFound
	case errors.Is(d.err, errBusy):
		return busy
	}
	return failed
}

// ended counts, remembers and traces the end of a request.
func (s *Service) ended(d delivery) {
	r := d.result()
	s.counters.add(d.protocol, d.body.file.Class, r, d.bytes)
	if l := d.body.list; r == delivered && l != nil && s.cfg.Holdings != nil {
		s.cfg.Holdings.Fetched(lists.Fetch{Device: d.holder(), Address: d.remote.Addr(), Kind: l.Kind, Version: l.Version, Signer: l.Signer, Time: s.now()})
	}
	about := d.body.file.Class.String()
	if d.body.file.Class == ClassConfig {
		about += " " + d.body.file.Device
	}
	if r == failed {
		s.problem(about, fmt.Sprintf("%s could not be served, and whoever asked is told to ask again: %v", d.name, unpublished(d.err)))
	} else if r == delivered {
		s.problems.mended(about)
	}
	s.trace(d, r)
}

// holder is the device a list was fetched as: by the name in the file's name.
func (d *delivery) holder() string {
	if d.body.file.Class == ClassCTLCAPF && d.body.shared {
		return ""
	}
	return d.body.file.Device
}

// unpublished puts what happens on a young site into words.
func unpublished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no list has been published yet (%w)", err)
	}
	return err
}

func (s *Service) trace(d delivery, r result) {
	level := trace.Info
	switch r {
	case notFound:
		level = trace.Detail
	case failed, busy:
		level = trace.Error
	}
	device := d.body.file.Device
	if !s.cfg.Trace.Enabled(Name, device, "", level) {
		return
	}
	rec := trace.Record{Time: s.now(), Service: Name, Kind: trace.KindNote, Level: level, Device: device, Net: transportOf(d.protocol),
		Local: d.local, Remote: d.remote,
		Fields: []trace.Field{{Name: "protocol", Value: d.protocol.String()}, {Name: "file", Value: d.name}, {Name: "bytes", Value: strconv.FormatInt(d.bytes, 10)}, {Name: "result", Value: r.String()}}}
	rec.Summary = fmt.Sprintf("%s %s: %s", d.protocol, d.name, r)
	switch {
	case r == delivered:
		rec.Summary += fmt.Sprintf(", %d bytes", d.bytes)
	case d.err != nil && r != notFound:
		rec.Summary += ": " + d.err.Error()
	}
	if l := d.body.list; l != nil {
		rec.Fields = append(rec.Fields, trace.Field{Name: "version", Value: strconv.Itoa(l.Version)}, trace.Field{Name: "signer", Value: l.Signer.String()})
	}
	for _, n := range d.body.notes {
		rec.Summary += "; " + n
		rec.Fields = append(rec.Fields, trace.Field{Name: "note", Value: n})
	}
	s.cfg.Trace.Record(rec)
}

// problems are the sentences the status shows while something is wrong, one for each thing that can be. Guarded by its lock.
type problems struct {
	mu  sync.Mutex
	all []problem
}

type problem struct {
	about, text string
	at          time.Time
}

// set says what is wrong and tells whether that is news.
func (p *problems) set(about, text string, at time.Time) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.all, func(x problem) bool { return x.about == about })
	if i >= 0 {
		news = p.all[i].text != text
		p.all[i] = problem{about, text, at}
		return news
	}
	p.all = append(p.all, problem{about, text, at})
	return true
}

// mended takes a problem away.
func (p *problems) mended(about string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(x problem) bool { return x.about == about })
}

func (p *problems) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, x := range p.all {
		out = append(out, x.text)
	}
	return strings.Join(out, "; ")
}
