package voicebrowser

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// Bounds of recordings: the longest, and all of one session, octets of samples.
const (
	longestRecording  = 10 * time.Minute
	maxRecordings     = 32
	maxRecordedOctets = 32 << 20
)

// recording is one of this session.
type recording struct {
	pcm  []int16
	kind string // media type
}

// recordings are those of a session, by name. They are looked up beside its goroutine too, where prompts become sound.
type recordings struct {
	mu     sync.Mutex
	byName map[string]*recording
	octets int
}

func (r *recordings) get(name string) *recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byName[name]
}

// room is for how many samples there is room.
func (r *recordings) room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byName) >= maxRecordings {
		return 0
	}
	return (maxRecordedOctets - r.octets) / 2
}

// add names a recording.
func (r *recordings) add(x *recording) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]*recording{}
	}
	name := fmt.Sprintf("recording-%d", len(r.byName)+1)
	r.byName[name] = x
	r.octets += 2 * len(x.pcm)
	return name
}

const (
	typeWAV  = "audio/x-wav"
	typeULaw = "audio/basic"
	typeALaw = "audio/x-alaw-basic"
)

func (r *recording) extension() string {
	return map[string]string{typeULaw: ".ulaw", typeALaw: ".alaw"}[r.kind] + map[bool]string{true: ".wav"}[r.kind == typeWAV]
}

func (r *recording) encoded() []byte {
	law := g711.ULaw
	switch r.kind {
	case typeWAV:
		return wav.Append(nil, r.pcm)
	case typeALaw:
		law = g711.ALaw
	}
	b := make([]byte, len(r.pcm))
	law.Encode(b, r.pcm)
	return b
}

// size is that of encoded.
func (r *recording) size() int64 {
	if r.kind == typeWAV {
		return int64(44 + 2*len(r.pcm))
	}
	return int64(len(r.pcm))
}

// ear is a sink that keeps what is heard and knows how long there has been silence. The mutex guards everything; events wakes whoever waits.
type ear struct {
	mu       sync.Mutex
	pcm      []int16
	most     int // samples
	waits    int // samples that a voice may take to begin; 0: none is waited for
	final    int // samples of silence that end it; 0: none do
	voice    bool
	quiet    int // samples of silence at the end
	waited   int
	floor    float64 // of the noise, mean square
	why      reason
	finished chan struct{}
}

type reason uint8

const (
	notYet reason = iota
	noVoice
	fellSilent
	isFull
)

// A frame is voice when it is louder than loud (mean square; 16 bit samples, about -42 dBm0) and four times as loud as what is between words.
const loud = 150 * 150

// WritePCM implements media.Sink.
func (e *ear) WritePCM(src []int16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != notYet {
		return wav.ErrFull
	}
	voice := e.hears(src)
	if !e.voice && !voice && e.waits > 0 {
		if e.waited += len(src); e.waited >= e.waits {
			e.end(noVoice)
		}
		return nil
	}
	e.voice = e.voice || voice || e.waits == 0
	e.pcm = append(e.pcm, src[:min(len(src), e.most-len(e.pcm))]...)
	e.quiet += len(src)
	if voice {
		e.quiet = 0
	}
	switch {
	case len(e.pcm) >= e.most:
		e.end(isFull)
	case e.final > 0 && e.quiet >= e.final:
		e.end(fellSilent)
	}
	return nil
}

func (e *ear) hears(src []int16) bool {
	sum := 0.0
	for _, v := range src {
		sum += float64(v) * float64(v)
	}
	power := sum / float64(max(1, len(src)))
	switch {
	case e.floor == 0 || power < e.floor:
		e.floor = max(1, power)
	default:
		e.floor = min(e.floor*1.01, loud) // a louder place is got used to in some seconds
	}
	return power > loud && power > 4*e.floor
}

func (e *ear) end(why reason) {
	e.why = why
	close(e.finished)
}

func samplesOf(d time.Duration) int { return int(d * media.Rate / time.Second) }

// record does interpreter.Record.
func (x *session) record(a *interpreter.Record) interpreter.Outcome {
	out := x.play(&interpreter.Play{Prompts: a.Prompts})
	if out.Hangup {
		return out
	}
	x.forget() // what was typed before the beep does not end what comes after it
	if a.Beep {
		f := &feed{}
		f.add(piece{pcm: beep()})
		f.end()
		if x.leg.Play(x.call, f) != nil {
			return interpreter.Outcome{Hangup: true}
		}
	}
	longest := min(cmp.Or(a.MaxTime, longestRecording), longestRecording)
	e := &ear{most: min(samplesOf(longest), x.recordings.room()), waits: samplesOf(a.Timeout), final: samplesOf(a.FinalSilence), finished: make(chan struct{})}
	began := time.Now()
	x.leg.Hear(e)
	key, hung := x.untilRecorded(e, a.Term, began.Add(longest+time.Second+a.Timeout))
	x.leg.Hear(nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	out.Recorded = x.keep(e, a)
	if key != 0 {
		out.Recorded.TermChar = string(key)
	}
	out.Hangup = hung
	return out
}

// untilRecorded waits for the end of a recording: by itself, by a key, by the end of the call, or, where no media comes at all, at end.
func (x *session) untilRecorded(e *ear, term bool, end time.Time) (key byte, hung bool) {
	over := make(chan struct{})
	t := time.AfterFunc(time.Until(end), func() { close(over) })
	defer t.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-over:
		case <-e.finished:
		case <-x.call.Done():
		}
	}()
	for {
		key, err := x.key(done)
		switch {
		case err != nil:
			return 0, true
		case key == 0:
			return 0, x.call.Err() != nil
		case term:
			e.mu.Lock()
			if e.why == notYet {
				e.end(fellSilent) // so that the goroutine above ends
			}
			e.mu.Unlock()
			return key, false
		}
	}
}

// keep makes a recording of what an ear has heard. The ear's lock is held.
func (x *session) keep(e *ear, a *interpreter.Record) *interpreter.Recorded {
	if len(e.pcm) == 0 {
		return &interpreter.Recorded{}
	}
	r := &recording{pcm: e.pcm, kind: typeWAV}
	if a.Type == typeULaw || a.Type == typeALaw {
		r.kind = a.Type
	}
	x.s.counts.recordings.Add(1)
	return &interpreter.Recorded{Reference: x.recordings.add(r), Duration: time.Duration(len(r.pcm)) * time.Second / media.Rate, Size: r.size(),
		MaxTime: e.why == isFull, Type: r.kind}
}
