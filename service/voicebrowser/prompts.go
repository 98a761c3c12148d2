package voicebrowser

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
	"github.com/locktone/locktone/service/voicebrowser/speech"
)

// maxBreak bounds one <break/>.
const maxBreak = time.Minute

// render puts prompts into a feed, piece by piece as they become sound, so that the first is heard while the next is still fetched.
func (s *session) render(ctx context.Context, prompts []interpreter.Prompt, f *feed) {
	defer f.end()
	for _, p := range prompts {
		bare := p
		bare.Pieces = nil
		f.add(piece{prompt: bare}) // what a key does counts from before its first sound
		s.renderPieces(ctx, p.Pieces, bare, f)
	}
}

func (s *session) renderPieces(ctx context.Context, pieces []interpreter.Piece, p interpreter.Prompt, f *feed) {
	for _, x := range pieces {
		if ctx.Err() != nil {
			return
		}
		switch {
		case x.Mark != "":
			f.add(piece{prompt: p, mark: x.Mark})
		case x.Break > 0:
			f.add(piece{prompt: p, pcm: make([]int16, int(min(x.Break, maxBreak).Milliseconds())*media.Rate/1000)})
		case x.Audio != nil:
			pcm, err := s.sound(ctx, x.Audio)
			switch {
			case err == nil:
				f.add(piece{prompt: p, pcm: pcm})
			case len(x.Audio.Else) > 0:
				s.renderPieces(ctx, x.Audio.Else, p, f)
			case ctx.Err() == nil:
				s.trouble("audio", err)
			}
		case x.Text != "":
			f.add(piece{prompt: p, pcm: s.say(ctx, x, p.Language)})
		}
	}
}

// say is the sound of a text; what nobody can say is a tone, and is logged.
func (s *session) say(ctx context.Context, x interpreter.Piece, language string) []int16 {
	t := speech.Text{Text: x.Text, Language: language}
	if x.Say != nil {
		t.As, t.Format, t.Role = x.Say.As, x.Say.Format, x.Say.Voice
		if x.Say.Language != "" {
			t.Language = x.Say.Language
		}
	}
	pcm, err := s.s.speaker.Say(ctx, t)
	if err != nil && ctx.Err() == nil {
		s.trouble("error.noresource", fmt.Errorf("%.80q (%s): %w", x.Text, t.Language, err))
		return missing()
	}
	return pcm
}

// missing is what is heard in the place of a text that nobody can say: two low tones.
func missing() []int16 {
	pcm := make([]int16, media.Rate*4/5)
	c := tone.NewCadence(-16, tone.Part{Hz: []float64{350}, For: 200 * time.Millisecond}, tone.Part{For: 100 * time.Millisecond},
		tone.Part{Hz: []float64{300}, For: 300 * time.Millisecond}, tone.Part{For: 200 * time.Millisecond})
	_, _ = c.ReadPCM(pcm) // a cadence has no end
	return pcm
}

// beep is what comes before a recording: 1,000 Hz for a quarter of a second.
func beep() []int16 {
	pcm := make([]int16, media.Rate*3/10)
	c := tone.NewCadence(-13, tone.Part{Hz: []float64{1000}, For: 250 * time.Millisecond}, tone.Part{For: time.Second})
	_, _ = c.ReadPCM(pcm)
	return pcm
}

// errNoSound says that a recording is not one of this session.
var errNoSound = errors.New("there is no such recording in this session")

// playing is a feed on the leg.
type playing struct {
	f    *feed
	done <-chan struct{}
	stop context.CancelFunc // of its rendering
}

// start begins to play prompts.
func (s *session) start(prompts []interpreter.Prompt) *playing {
	ctx, cancel := context.WithCancel(s.call)
	p := &playing{f: &feed{}, stop: cancel}
	if len(prompts) > 0 { // what a key does to the first is known before it is rendered
		bare := prompts[0]
		bare.Pieces = nil
		p.f.add(piece{prompt: bare})
	}
	s.renders.Go(func() { s.render(ctx, prompts, p.f) })
	p.done = s.leg.Start(p.f)
	return p
}

// halt ends what plays.
func (s *session) halt() {
	if s.now != nil {
		s.now.stop()
		s.leg.Start(nil)
		s.now = nil
	}
}
