package peers

import (
	"context"
	"testing"

	"github.com/locktone/locktone/config"
)

// mailScenes are about voicemail, without one: a phone stands for the mailbox system.
func mailScenes() []scene {
	return []scene{
		{name: "voicemail pilot", cast: "mail-a mail-b mail-v", play: voicemailPilot, setup: func(st *stage, c *config.Site) {
			c.VoicemailProfiles = append(c.VoicemailProfiles, config.VoicemailProfile{Name: "house", Pilot: st.number("mail-v"), MailboxMask: "55XXXX"})
			l := st.line(c, "mail-b")
			l.VoicemailProfile = "house"
			l.Forwards.Busy = config.Forward{Voicemail: true}
			st.device(c, "mail-b").Lines[0].BusyTrigger = 1
		}},
	}
}

// voicemailPilot: a busy line's calls reach the mailbox system with the number of the mailbox, and baresip reaches its own by the code.
func voicemailPilot(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "mail-b", 600, false)
	p := st.phones(t, ctx, "mail-a", "mail-v")
	mark := b.EventMark()
	must(t, b.Dial("*98"))
	own := takes(t, ctx, p[1], 1000)
	event(t, ctx, b, mark, "CALL_ESTABLISHED")
	hears(t, ctx, own, []float64{600})
	waitTone(t, ctx, "mail-b", b.Heard, 1000)
	left, err := p[0].Dial(ctx, st.number("mail-b")) // busy: it talks to its mailbox
	must(t, err)
	deposit := rings(t, ctx, p[1])
	if d := deposit.Diversions(); len(d) != 1 || d[0].Reason != "user-busy" || d[0].Address.URI.User != "55"+st.number("mail-b") {
		t.Errorf("the mailbox system is told %+v, want mailbox 55%s, user-busy", d, st.number("mail-b"))
	}
	must(t, deposit.Answer(ctx))
	deposit.Tone(1000)
	must(t, left.WaitAnswered(ctx))
	left.Tone(440)
	hears(t, ctx, deposit, []float64{440})
	hears(t, ctx, left, []float64{1000})
	must(t, left.Hangup(ctx))
	must(t, own.Hangup(ctx))
	event(t, ctx, b, mark, "CALL_CLOSED")
}
