package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
)

// Tones of the demo, in hertz: what each phone sends.
const (
	aliceTone = 1000
	bobTone   = 500
)

// RunCall plays the scenario "call" and writes its report.
func RunCall(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (proven bool, err error) {
	r, err := Call(ctx, Change{}, progress)
	if err != nil {
		return false, err
	}
	if asJSON {
		return r.Proven, r.WriteJSON(out)
	}
	return r.Proven, r.WriteText(out)
}

// Change breaks the scenario on purpose, so that a test can see a claim fail: it alters a phone before it starts.
type Change struct {
	Alice, Bob func(*phone.Config)
}

// Call starts a site and two phones, calls, sends a tone each way, holds, resumes, hangs up, and reports what the receiving
// ends can prove. A step that fails is in the report; the error is for a scenario that could not run at all.
func Call(ctx context.Context, change Change, progress func(string)) (r *Report, err error) {
	start := time.Now()
	progress("starting a throw-away site")
	site, err := lab.Start(ctx, lab.Options{Progress: progress})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, site.Close(context.WithoutCancel(ctx))) }()
	r = &Report{Claim: "the call was protected on every hop"}
	s := &scenario{ctx: ctx, site: site, report: r, progress: progress}
	s.play(change)
	r.Seconds = time.Since(start).Seconds()
	r.judge()
	return r, nil
}

// scenario is the state of one run.
type scenario struct {
	ctx        context.Context
	site       *lab.Site
	report     *Report
	progress   func(string)
	alice, bob *phone.Phone
	calling    *phone.Call
	called     *phone.Call
}

// stepTime bounds one step: a scenario that hangs is not proven, and says where.
const stepTime = 4 * time.Second

// step does one thing and notes how it went; after a failure nothing further is tried.
func (s *scenario) step(name string, do func(ctx context.Context) (detail string, err error)) bool {
	return s.stepIn(stepTime, name, do)
}

// stepIn is step with a time of its own.
func (s *scenario) stepIn(limit time.Duration, name string, do func(ctx context.Context) (detail string, err error)) bool {
	s.progress(name)
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	detail, err := do(ctx)
	if err != nil {
		detail = err.Error()
	}
	s.report.Steps = append(s.report.Steps, Step{Name: name, Proven: err == nil, Detail: detail})
	return err == nil
}

func (s *scenario) play(change Change) {
	defer s.close()
	_ = s.step("alice registers", func(ctx context.Context) (d string, err error) {
		s.alice, d, err = s.register(ctx, "alice", "1001", change.Alice)
		return d, err
	}) && s.step("bob registers", func(ctx context.Context) (d string, err error) {
		s.bob, d, err = s.register(ctx, "bob", "1002", change.Bob)
		return d, err
	}) && s.step("alice calls bob", s.connect) &&
		s.step("a tone each way", s.tones) &&
		s.step("alice holds, bob hears music", s.hold) &&
		s.step("alice resumes, tones again", s.resume) &&
		s.step("evidence is collected", s.collect) &&
		s.step("alice hangs up", s.hangup)
	if s.called != nil && s.report.Legs == nil { // what there is is shown, also of a call that failed
		s.step("evidence is collected", s.collect)
	}
	s.ladder()
}

func (s *scenario) register(ctx context.Context, device, number string, change func(*phone.Config)) (*phone.Phone, string, error) {
	p, err := s.site.Phone(ctx, device, number, change)
	if err != nil {
		return nil, "", err
	}
	if err := p.WaitRegistered(ctx); err != nil {
		return p, "", err
	}
	return p, "over mutual TLS, with a certificate that names the device", nil
}

func (s *scenario) connect(ctx context.Context) (_ string, err error) {
	if s.calling, err = s.alice.Dial(ctx, "1002"); err != nil {
		return "", err
	}
	select {
	case s.called = <-s.bob.Incoming():
	case <-ctx.Done():
		return "", errors.New("bob's phone did not ring")
	}
	if err := s.calling.WaitRinging(ctx); err != nil {
		return "", err
	}
	s.calling.Tone(aliceTone)
	s.called.Tone(bobTone)
	if err := s.called.Answer(ctx); err != nil {
		return "", err
	}
	return "rang and was answered", s.calling.WaitAnswered(ctx)
}

func (s *scenario) tones(ctx context.Context) (string, error) {
	b, err := s.called.WaitTone(ctx, aliceTone)
	if err != nil {
		return "", fmt.Errorf("bob did not hear %d Hz: %w", aliceTone, err)
	}
	a, err := s.calling.WaitTone(ctx, bobTone)
	if err != nil {
		return "", fmt.Errorf("alice did not hear %d Hz: %w", bobTone, err)
	}
	return fmt.Sprintf("bob hears %.0f Hz, alice hears %.0f Hz", b, a), nil
}

func (s *scenario) hold(ctx context.Context) (string, error) {
	if err := s.calling.Hold(ctx); err != nil {
		return "", err
	}
	if err := s.called.WaitNoTone(ctx, aliceTone); err != nil {
		return "", fmt.Errorf("bob still hears alice: %w", err)
	}
	before := s.called.Evidence()
	if err := s.called.WaitPackets(ctx, before.RxAuth+musicPackets); err != nil {
		return "", fmt.Errorf("bob receives no authenticated music: %w", err)
	}
	if err := s.called.WaitSound(ctx); err != nil {
		return "", fmt.Errorf("bob hears no music: %w", err)
	}
	return fmt.Sprintf("the music is SRTP too (%s)", s.called.Evidence().Suite), nil
}

// musicPackets is how much music has to arrive: a second of it, which is what the phone's level meter looks at.
const musicPackets = 50

func (s *scenario) resume(ctx context.Context) (string, error) {
	if err := s.calling.Resume(ctx); err != nil {
		return "", err
	}
	return s.tones(ctx)
}

// collect makes the table: every figure from the end that received.
func (s *scenario) collect(ctx context.Context) (string, error) {
	verified, err := s.verifiedByServer(ctx)
	if err != nil {
		return "", err
	}
	a, b := s.calling.Evidence(), s.called.Evidence()
	s.report.Legs = []Leg{
		leg("alice", callmanager.Name, a, b, bobTone, verified["alice"]),
		leg(callmanager.Name, "bob", b, a, aliceTone, verified["bob"]),
	}
	return "", nil
}

// leg is the evidence of the phone near about its leg; far is the phone at the other end of the media.
func leg(from, to string, near, far phone.Evidence, expected float64, client string) Leg {
	return Leg{From: from, To: to, Protocol: near.Protocol, TLS: near.TLS, Cipher: near.Cipher, Peer: near.Peer, Chain: near.Chain, Client: client,
		Verified: near.Verified && client != "", SRTP: near.Suite, RxAuthenticated: near.RxAuth, TxAuthenticated: far.RxAuth, RxRefused: near.Failed,
		ToneHz: near.ToneHz, Expected: expected}
}

// verifiedByServer asks the call manager, over the bus, whom its handshakes verified: device to subject.
func (s *scenario) verifiedByServer(ctx context.Context) (map[string]string, error) {
	rows, err := bus.Ask[bus.Query, []bus.Connection](ctx, s.site.Bus, s.site.Bus.Subject(callmanager.Name, bus.VerbConnections), bus.Query{})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, c := range rows {
		if c.Verified && c.Direction == "inbound" {
			out[c.Peer] = c.Subject
		}
	}
	return out, nil
}

func (s *scenario) hangup(ctx context.Context) (string, error) {
	if err := s.calling.Hangup(ctx); err != nil {
		return "", err
	}
	if _, _, err := s.called.WaitEnded(ctx); err != nil {
		return "", fmt.Errorf("bob's call did not end: %w", err)
	}
	return "both ends are free again", nil
}

// ladder draws the call from the trace.
func (s *scenario) ladder() {
	calls := s.site.Trace.Calls(1)
	if len(calls) == 0 {
		return
	}
	recs, err := s.site.Trace.Call(s.ctx, calls[0].Call)
	if err == nil {
		s.report.Ladder = drawLadder(recs)
	}
}

func (s *scenario) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stepTime)
	defer cancel()
	for _, p := range []*phone.Phone{s.alice, s.bob} {
		if p != nil {
			_ = p.Close(ctx) // the report is what counts; the site goes away anyhow
		}
	}
}
