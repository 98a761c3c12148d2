package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/trace"
)

// Verbs by which administrations of the nodes ask each other for what was recorded. What is recorded holds no secrets (package trace).
const (
	verbTraceCall   = "trace.call"   // asked: callQuestion, answered: recordPage
	verbTraceCalls  = "trace.calls"  // asked: callsQuestion, answered: []trace.CallInfo
	verbTraceRecent = "trace.recent" // asked: recentQuestion, answered: recordPage
	verbTraceFiles  = "trace.files"  // asked: struct{}, answered: []trace.File
	verbTraceRead   = "trace.read"   // asked: fileQuestion, answered: filePage
)

// callQuestion asks for the records of a call, by all the names it is known by, page by page.
type callQuestion struct {
	Names []string `json:"names"`
	After uint64   `json:"after,omitempty"` // the last sequence number of the page before
}

type callsQuestion struct {
	Limit int `json:"limit"`
}

type recentQuestion struct {
	Filter trace.Filter `json:"filter"`
	Limit  int          `json:"limit"`
}

type fileQuestion struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
}

type filePage struct {
	Bytes []byte `json:"bytes"`
}

// recordPage is some records of one node, in order.
type recordPage struct {
	Records []json.RawMessage `json:"records"`
	More    bool              `json:"more,omitempty"`
}

const (
	pageBytes = 384 << 10 // of records or of a file in one answer: an operator's NATS takes 1 MiB
	maxNames  = 1000      // a call is known by
	maxPages  = 1000      // of one node
)

// page makes a page of records: what fits. A body that is larger than a page is left out, and the record says so.
func page(recs []trace.Record) recordPage {
	out := recordPage{Records: []json.RawMessage{}}
	size := 0
	for i := range recs {
		text, err := recs[i].MarshalJSON()
		if len(text) > pageBytes {
			short := recs[i]
			short.Summary, short.Body = fmt.Sprintf("%s (%d bytes are on %s)", short.Summary, len(short.Body), short.Node), nil
			text, err = short.MarshalJSON()
		}
		if err != nil {
			continue
		}
		if size += len(text); size > pageBytes && len(out.Records) > 0 {
			out.More = true
			return out
		}
		out.Records = append(out.Records, text)
	}
	return out
}

// read is the page's records.
func (p recordPage) read() []trace.Record {
	out := make([]trace.Record, 0, len(p.Records))
	for _, text := range p.Records {
		var r trace.Record
		if r.UnmarshalJSON(text) == nil {
			out = append(out, r)
		}
	}
	return out
}

// serveNodes answers other nodes' administrations.
func (s *Server) serveNodes() (err error) {
	serve := func(r *bus.Responder, failed error) {
		if err = errors.Join(err, failed); failed == nil {
			s.responders = append(s.responders, r)
		}
	}
	b := s.cfg.Bus
	serve(bus.Serve(b, b.Subject(ServiceName, verbTraceCall), s.answerCall))
	serve(bus.Serve(b, b.Subject(ServiceName, verbTraceCalls), func(_ context.Context, q callsQuestion) ([]trace.CallInfo, error) {
		return s.cfg.Trace.Calls(min(q.Limit, 1000)), nil
	}))
	serve(bus.Serve(b, b.Subject(ServiceName, verbTraceRecent), func(_ context.Context, q recentQuestion) (recordPage, error) {
		recs := s.cfg.Trace.Recent(q.Filter, min(q.Limit, 10_000))
		slices.Reverse(recs) // the newest are wanted
		p := page(recs)
		slices.Reverse(p.Records)
		return p, nil
	}))
	serve(bus.Serve(b, b.Subject(ServiceName, verbTraceFiles), func(ctx context.Context, _ struct{}) ([]trace.File, error) {
		_ = s.cfg.Trace.Flush(ctx) // a disk in trouble has what it has
		return s.cfg.Trace.Files()
	}))
	serve(bus.Serve(b, b.Subject(ServiceName, verbTraceRead), func(_ context.Context, q fileQuestion) (filePage, error) {
		text, err := s.cfg.Trace.ReadFile(q.Name, q.Offset, pageBytes)
		return filePage{text}, err
	}))
	serve(bus.Serve(b, b.Subject(ServiceName, bus.VerbExceptions), func(_ context.Context, q bus.Query) ([]bus.Exception, error) {
		return s.ownExceptions(q.Name), nil
	}))
	serve(bus.Serve(b, b.Subject(ServiceName, verbLDAPCheck), func(ctx context.Context, q LDAPCheck) ([]LDAPChecked, error) {
		return s.ownLDAPCheck(ctx, LDAPCheck{Name: q.Name, User: q.User})
	}))
	return err
}

func (s *Server) answerCall(ctx context.Context, q callQuestion) (recordPage, error) {
	recs, err := s.ownCall(ctx, q.Names[:min(len(q.Names), maxNames)])
	if err != nil {
		return recordPage{}, err
	}
	from, _ := slices.BinarySearchFunc(recs, q.After+1, func(r trace.Record, seq uint64) int {
		switch {
		case r.Seq < seq:
			return -1
		case r.Seq > seq:
			return 1
		}
		return 0
	})
	return page(recs[from:]), nil
}

// ownCall gathers what this node recorded of a call, in order.
func (s *Server) ownCall(ctx context.Context, names []string) ([]trace.Record, error) {
	var out []trace.Record
	have := map[uint64]bool{}
	known := map[string]bool{}
	for _, name := range names {
		if known[name] {
			continue // a record that bears it is there, and with it all of them
		}
		recs, err := s.cfg.Trace.Call(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			known[r.Call], known[r.SIPCallID] = true, true
			if !have[r.Seq] {
				have[r.Seq] = true
				out = append(out, r)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b trace.Record) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	return out, nil
}

// others are the other nodes of the cluster that live, and those that are lost.
func (s *Server) others() (live, lost []string) {
	seen := map[string]bool{s.cfg.Node: true}
	for _, m := range s.cfg.Bus.Board().Nodes() {
		if m.Self || seen[m.Name] {
			continue
		}
		if seen[m.Name] = true; m.Alive {
			live = append(live, m.Name)
		} else {
			lost = append(lost, m.Name)
		}
	}
	for _, n := range s.cfg.Nodes {
		if !seen[n] {
			seen[n] = true
			live = append(live, n)
		}
	}
	return live, lost
}

// A missing is what other nodes could not tell, in sentences that name them.
type missing []string

func (m *missing) lost(nodes []string) {
	for _, n := range nodes {
		m.add(n, "it is lost to this node")
	}
}

func (m *missing) add(node, why string) {
	text := fmt.Sprintf("what %s recorded is not here: %s", node, why)
	if !slices.Contains(*m, text) {
		*m = append(*m, text)
	}
}

// tracesWait is how long another node may take for a page.
const tracesWait = 10 * time.Second

// fromOthers asks every other node that lives and hands on each answer; the nodes that did not answer are named in what is missing.
func fromOthers[Req, Res any](ctx context.Context, s *Server, verb string, q Req, wait time.Duration, each func(node string, v Res)) (gone missing) {
	live, lost := s.others()
	gone.lost(lost)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answers, err := bus.AskAll[Req, Res](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(ServiceName, verb), q, live...)
	if err != nil {
		return append(gone, err.Error())
	}
	for _, a := range answers {
		if a.Err != nil {
			gone.add(a.Node, a.Err.Message)
			continue
		}
		each(a.Node, a.Value)
	}
	return gone
}

// callOf gathers a call's records from every node: by its names here, then by the names it has there, until there are no new ones.
func (s *Server) callOf(ctx context.Context, id string) (recs []trace.Record, gone missing, err error) {
	names := map[string]bool{}
	fresh := []string{id}
	learn := func(more []trace.Record) {
		for _, r := range more {
			for _, n := range [...]string{r.Call, r.SIPCallID} {
				if n != "" && !names[n] && len(names) < maxNames {
					names[n] = true
					fresh = append(fresh, n)
				}
			}
		}
	}
	live, lost := s.others()
	for names[id] = true; len(fresh) > 0; {
		asked := fresh
		fresh = nil
		own, err := s.ownCall(ctx, asked)
		if err != nil {
			return nil, nil, err
		}
		recs = append(recs, own...)
		learn(own)
		asked = append(asked, fresh...) // what this node calls it as well: known here, and asked of the others in this round
		fresh = nil
		for _, x := range s.callAt(ctx, live, asked) {
			if x.err != nil {
				gone.add(x.node, x.err.Error())
				live = slices.DeleteFunc(slices.Clone(live), func(n string) bool { return n == x.node })
			}
			recs = append(recs, x.recs...)
			learn(x.recs)
		}
	}
	gone.lost(lost)
	if len(recs) == 0 {
		text := fmt.Sprintf("no call %q is in the traces; it may be older than they are kept, or recording is off", id)
		return nil, gone, problem(bus.CodeNotFound, strings.Join(append([]string{text}, gone...), "; "))
	}
	return trace.Merge(recs).Records, gone, nil
}

// nodeRecords is what one node had.
type nodeRecords struct {
	node string
	recs []trace.Record
	err  error
}

// callAt asks nodes for the records of a call, all at the same time, page by page.
func (s *Server) callAt(ctx context.Context, nodes, names []string) []nodeRecords {
	out := make([]nodeRecords, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() {
			out[i].node = node
			q := callQuestion{Names: names}
			for range maxPages {
				p, err := ask[callQuestion, recordPage](ctx, s, node, verbTraceCall, q)
				if err != nil {
					out[i].err = err
					return
				}
				recs := p.read()
				out[i].recs = append(out[i].recs, recs...)
				if !p.More || len(recs) == 0 {
					return
				}
				q.After = recs[len(recs)-1].Seq
			}
		})
	}
	wg.Wait()
	return out
}

// ask asks the administration of one node.
func ask[Req, Res any](ctx context.Context, s *Server, node, verb string, q Req) (Res, error) {
	ctx, cancel := context.WithTimeout(ctx, tracesWait)
	defer cancel()
	v, err := bus.Ask[Req, Res](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(ServiceName, verb).To(node), q)
	var e *bus.Error
	if errors.As(err, &e) {
		err = errors.New(e.Message)
	}
	return v, err
}

// recent gathers the newest records of every node, by their times.
func (s *Server) recent(ctx context.Context, f trace.Filter, limit int) ([]trace.Record, missing) {
	recs := s.cfg.Trace.Recent(f, limit)
	if f.After > 0 { // a number of this node: others have their own
		return recs, nil
	}
	gone := fromOthers(ctx, s, verbTraceRecent, recentQuestion{f, limit}, busWait, func(_ string, p recordPage) { recs = append(recs, p.read()...) })
	slices.SortStableFunc(recs, func(a, b trace.Record) int {
		if a.Node == b.Node {
			return int(int64(a.Seq) - int64(b.Seq))
		}
		return a.Time.Compare(b.Time)
	})
	return recs[max(0, len(recs)-limit):], gone
}

// archiveOthers adds the traces of the other nodes to an archive, each in a folder of its own, and a file that names those which gave none.
func (s *Server) archiveOthers(ctx context.Context, a *trace.Archive) {
	live, lost := s.others()
	var gone missing
	gone.lost(lost)
	for _, node := range live {
		if err := s.archiveNode(ctx, a, node); err != nil {
			gone.add(node, err.Error())
		}
	}
	if len(gone) > 0 {
		a.Add("nodes/missing.txt", []byte(strings.Join(gone, "\n")+"\n"))
	}
}

func (s *Server) archiveNode(ctx context.Context, a *trace.Archive, node string) error {
	folder := "nodes/" + bus.Token(node) + "/trace/"
	files, err := ask[struct{}, []trace.File](ctx, s, node, verbTraceFiles, struct{}{})
	if err != nil {
		return err
	}
	if len(files) == 0 { // it records to memory only
		p, err := ask[recentQuestion, recordPage](ctx, s, node, verbTraceRecent, recentQuestion{Limit: 10_000})
		if err != nil {
			return err
		}
		var text []byte
		for _, r := range p.Records {
			text = append(append(text, r...), '\n')
		}
		a.Add(folder+"memory.jsonl", text)
		return nil
	}
	for _, f := range files {
		text := make([]byte, 0, f.Size)
		for int64(len(text)) < f.Size { // what is written meanwhile is for the next time
			p, err := ask[fileQuestion, filePage](ctx, s, node, verbTraceRead, fileQuestion{f.Name, int64(len(text))})
			if err != nil {
				return fmt.Errorf("of %s there are %d bytes of %d: %w", f.Name, len(text), f.Size, err)
			}
			if len(p.Bytes) == 0 {
				break
			}
			text = append(text, p.Bytes...)
		}
		a.Add(folder+bus.Token(f.Name), text)
	}
	return nil
}
