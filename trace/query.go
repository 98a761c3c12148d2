package trace

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Call returns every record of a call, in order: of all its legs and, by the SIP Call-IDs they share, of every service
// of this node it went through. id is a global call id or a SIP Call-ID. Records still in memory are taken from there;
// when some have left it the segment files are read. No records is no error.
func (r *Recorder) Call(ctx context.Context, id string) ([]Record, error) {
	if r == nil || id == "" {
		return nil, nil
	}
	r.settle()
	lines, complete := r.memoryLines(id)
	if complete || r.disk == nil {
		return decodeLines(lines), nil
	}
	if err := r.Flush(ctx); err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	recs, err := CallFromDir(r.cfg.Dir, id)
	if err != nil {
		return decodeLines(lines), nil // the disk is in trouble: memory is what there is
	}
	return mergeRecords(recs, decodeLines(lines)), nil
}

// memoryLines returns the lines of a call that are in memory, and whether they are all there are.
func (r *Recorder) memoryLines(id string) ([][]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.index.find(id)
	if g == nil {
		return nil, false
	}
	complete := !g.cut
	var out [][]byte
	for _, at := range g.refs {
		if line := r.ring.line(at); line != nil {
			out = append(out, line)
		} else {
			complete = false
		}
	}
	return out, complete
}

func decodeLines(lines [][]byte) []Record {
	out := make([]Record, 0, len(lines))
	for _, line := range lines {
		var rec Record
		if rec.UnmarshalJSON(line) == nil {
			out = append(out, rec)
		}
	}
	sortRecords(out)
	return out
}

func sortRecords(recs []Record) {
	slices.SortStableFunc(recs, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
}

// mergeRecords returns the union of two lists of records of one node.
func mergeRecords(a, b []Record) []Record {
	out := append(a, b...)
	sortRecords(out)
	return slices.CompactFunc(out, func(x, y Record) bool { return x.Seq == y.Seq && x.Node == y.Node })
}

// CallFromDir gathers a call's records from the segment files of a folder; see [Recorder.Call].
func CallFromDir(dir, id string) ([]Record, error) {
	if id == "" {
		return nil, nil
	}
	seen := map[string]bool{id: true}
	fresh := []string{id}
	var out []Record
	for range maxGatherPasses {
		if len(fresh) == 0 {
			break
		}
		words := make([][]byte, len(fresh))
		for i, name := range fresh {
			words[i] = appendEscaped(nil, clip(name))
		}
		want := fresh
		fresh = nil
		err := scanDir(dir, words, func(line []byte) bool {
			var rec Record
			if rec.UnmarshalJSON(line) != nil || !slices.Contains(want, rec.Call) && !slices.Contains(want, rec.SIPCallID) {
				return true
			}
			out = append(out, rec)
			for _, name := range [...]string{rec.Call, rec.SIPCallID} {
				if name != "" && !seen[name] {
					seen[name] = true
					fresh = append(fresh, name)
				}
			}
			return len(out) < maxGather
		})
		if err != nil {
			return nil, err
		}
	}
	return mergeRecords(out, nil), nil
}

// A call's story is gathered in at most so many passes over the files and records; calls that were joined to others
// over and over end there.
const (
	maxGatherPasses = 8
	maxGather       = 100_000
)

// Gather picks from a list the records of one call, as [Recorder.Call] does.
func Gather(recs []Record, id string) []Record {
	names := map[string]bool{id: true}
	for grown := true; grown; {
		grown = false
		for i := range recs {
			r := &recs[i]
			if names[r.Call] && r.Call != "" || names[r.SIPCallID] && r.SIPCallID != "" {
				for _, n := range [...]string{r.Call, r.SIPCallID} {
					if n != "" && !names[n] {
						names[n], grown = true, true
					}
				}
			}
		}
	}
	var out []Record
	for _, r := range recs {
		if names[r.Call] && r.Call != "" || names[r.SIPCallID] && r.SIPCallID != "" {
			out = append(out, r)
		}
	}
	return out
}

// Recent returns the newest records in memory that match, oldest first, at most limit.
func (r *Recorder) Recent(f Filter, limit int) []Record {
	if r == nil || limit <= 0 {
		return nil
	}
	r.settle()
	r.mu.Lock()
	blocks := make([][]byte, len(r.ring.blocks))
	for i, b := range r.ring.blocks {
		b.lent = true
		blocks[i] = b.data[:len(b.data):len(b.data)]
	}
	r.mu.Unlock()
	var out []Record
	for i := len(blocks) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(lastMatches(blocks[i], f, limit-len(out)), out...)
	}
	return out
}

// lastMatches returns the last matching records of a block.
func lastMatches(data []byte, f Filter, limit int) []Record {
	var out []Record
	recs, _ := ReadAll(newReader(data))
	for i := len(recs) - 1; i >= 0 && len(out) < limit; i-- {
		if f.Match(&recs[i]) {
			out = append(out, recs[i])
		}
	}
	slices.Reverse(out)
	return out
}

// CallInfo is one line of a list of calls.
type CallInfo struct {
	Call       string    `json:"call"`        // global id, or a SIP Call-ID where no engine saw the call
	SIPCallIDs []string  `json:"sip_callids"` // of its legs
	Services   []string  `json:"services"`    // that recorded it, in order
	Nodes      []string  `json:"nodes"`       // that recorded it, in order
	From       string    `json:"from"`        // of the first INVITE
	To         string    `json:"to"`
	State      string    `json:"state"` // "setup", "ringing", "answered", "ended", "failed 486"
	Start      time.Time `json:"start"`
	End        time.Time `json:"end,omitzero"` // zero while it lives
	Records    int       `json:"records"`
}

// Calls lists the calls in memory, the newest activity first, at most limit. A dialog without an INVITE (a
// registration, an OPTIONS ping) is no call.
func (r *Recorder) Calls(limit int) []CallInfo {
	if r == nil {
		return nil
	}
	r.settle()
	var out []CallInfo
	for _, lines := range r.groupLines(limit * 8) {
		if info, ok := describeCall(decodeLines(lines)); ok && len(out) < limit {
			out = append(out, info)
		}
	}
	return out
}

// groupLines returns the lines of the newest groups.
func (r *Recorder) groupLines(limit int) [][][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out [][][]byte
	for g := r.index.head.next; g != &r.index.head && len(out) < limit; g = g.next {
		var lines [][]byte
		for _, at := range g.refs {
			if line := r.ring.line(at); line != nil {
				lines = append(lines, line)
			}
		}
		out = append(out, lines)
	}
	return out
}
