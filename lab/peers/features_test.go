package peers

import (
	"context"
	"slices"
	"testing"

	"github.com/locktone/locktone/config"
)

// TestFeatures plays the features of the call manager with phones that nobody here wrote.
func TestFeatures(t *testing.T) {
	enact(t, slices.Concat(callScenes(), forwardScenes(), parkScenes(), conferenceScenes(), groupScenes(), mailScenes(), lockScenes()))
}

// callScenes are what a person does with calls that are up: hold, a second call, transfers.
func callScenes() []scene {
	return []scene{
		{name: "hold with the music of the line", cast: "hold-a hold-b hold-c", play: holdMusic, setup: func(st *stage, c *config.Site) {
			c.MusicOnHold = append(c.MusicOnHold, config.MusicOnHold{Name: "chime", File: st.chime})
			st.line(c, "hold-b").MusicOnHold = "chime"
		}},
		{name: "blind transfer by baresip", cast: "blind-a blind-b blind-c", play: blindTransfer},
		{name: "transfer after consultation by linphonec", cast: "consult-a consult-b consult-c", play: consultationTransfer},
		{name: "call waiting and busy trigger at linphonec", cast: "waiting-a waiting-b waiting-c waiting-d", play: callWaiting},
	}
}

// chimeTone is the music of a line that has its own.
const chimeTone = 1500

// holdMusic: whoever is held hears what the line that holds plays.
func holdMusic(t *testing.T, ctx context.Context, st *stage) {
	a, b := st.soft(t, ctx, "hold-a", 440, false), st.soft(t, ctx, "hold-b", 600, false)
	c := st.phone(t, ctx, "hold-c", nil)
	for _, holder := range []struct {
		phone  *Baresip
		speaks float64
	}{{a, 440}, {b, 600}} {
		must(t, holder.phone.Dial(c.Number()))
		call := takes(t, ctx, c, 1000)
		hears(t, ctx, call, []float64{holder.speaks})
		must(t, holder.phone.Command("hold", ""))
		if holder.phone == b {
			hears(t, ctx, call, []float64{chimeTone}, holder.speaks)
		} else {
			must(t, call.WaitNoTone(ctx, holder.speaks))
			must(t, call.WaitSound(ctx))
			hears(t, ctx, call, nil, holder.speaks, chimeTone)
		}
		must(t, holder.phone.Command("resume", ""))
		hears(t, ctx, call, []float64{holder.speaks}, chimeTone)
		must(t, call.Hangup(ctx))
	}
}

// blindTransfer: baresip sends its caller to somebody else and is out.
func blindTransfer(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "blind-b", 600, true)
	p := st.phones(t, ctx, "blind-a", "blind-c")
	mark := b.EventMark()
	first := calls(t, ctx, p[0], st.number("blind-b"), 440)
	event(t, ctx, b, mark, "CALL_ESTABLISHED")
	hears(t, ctx, first, []float64{600})
	must(t, b.Transfer(st.number("blind-c")))
	third := takes(t, ctx, p[1], 1000)
	event(t, ctx, b, mark, "CALL_CLOSED")
	hears(t, ctx, first, []float64{1000}, 600)
	hears(t, ctx, third, []float64{440}, 600)
	must(t, first.WaitConnected(ctx, st.number("blind-c")))
	must(t, third.Hangup(ctx))
	over(t, ctx, first, 200)
}

// consultationTransfer: linphonec asks somebody first, then joins the two.
func consultationTransfer(t *testing.T, ctx context.Context, st *stage) {
	b := st.lin(t, ctx, "consult-b", 600)
	p := st.phones(t, ctx, "consult-a", "consult-c")
	mark := b.Mark()
	must(t, b.Call(st.uri(st.number("consult-a"))))
	first := takes(t, ctx, p[0], 440)
	said(t, ctx, b, mark, streaming)
	must(t, b.Speak())
	hears(t, ctx, first, []float64{600})
	mark = b.Mark()
	must(t, b.Pause())
	said(t, ctx, b, mark, "to LinphoneCallPaused")
	must(t, first.WaitSound(ctx))
	hears(t, ctx, first, nil, 600)
	mark = b.Mark()
	must(t, b.Call(st.uri(st.number("consult-c"))))
	third := takes(t, ctx, p[1], 1000)
	said(t, ctx, b, mark, streaming)
	must(t, b.Speak())
	hears(t, ctx, third, []float64{600})
	must(t, b.TransferToCall(1, 2))
	hears(t, ctx, first, []float64{1000}, 600)
	hears(t, ctx, third, []float64{440}, 600)
	must(t, first.WaitConnected(ctx, st.number("consult-c")))
	must(t, third.WaitConnected(ctx, st.number("consult-a")))
	must(t, first.Hangup(ctx))
	over(t, ctx, third, 200)
}

// callWaiting: a second call rings at linphonec while the first is up, and a third one finds the line busy (its busy trigger is 2).
func callWaiting(t *testing.T, ctx context.Context, st *stage) {
	b := st.lin(t, ctx, "waiting-b", 600)
	p := st.phones(t, ctx, "waiting-a", "waiting-c", "waiting-d")
	mark := b.Mark()
	first, err := p[0].Dial(ctx, st.number("waiting-b"))
	must(t, err)
	said(t, ctx, b, mark, "to LinphoneCallIncomingReceived")
	must(t, b.Answer(1))
	must(t, first.WaitAnswered(ctx))
	first.Tone(440)
	said(t, ctx, b, mark, streaming)
	must(t, b.Speak())
	hears(t, ctx, first, []float64{600})

	mark = b.Mark()
	second, err := p[1].Dial(ctx, st.number("waiting-b"))
	must(t, err)
	must(t, second.WaitRinging(ctx))
	said(t, ctx, b, mark, "to LinphoneCallIncomingReceived")

	busy, err := p[2].Dial(ctx, st.number("waiting-b"))
	must(t, err)
	over(t, ctx, busy, 486)

	mark = b.Mark()
	must(t, b.Answer(2))
	must(t, second.WaitAnswered(ctx))
	second.Tone(1000)
	said(t, ctx, b, mark, streaming)
	must(t, b.Speak())
	hears(t, ctx, second, []float64{600})
	hears(t, ctx, first, nil, 600)
	must(t, first.WaitSound(ctx)) // music: linphonec has it on hold
	waitTone(t, ctx, "linphonec", carolHears(t, ctx, b, "second"), 1000)

	mark = b.Mark()
	must(t, second.Hangup(ctx))
	said(t, ctx, b, mark, "to LinphoneCallReleased")
	must(t, b.Resume(1))
	said(t, ctx, b, mark, streaming)
	must(t, b.Speak())
	hears(t, ctx, first, []float64{600})
	must(t, first.Hangup(ctx))
}
