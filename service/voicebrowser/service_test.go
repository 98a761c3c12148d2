package voicebrowser

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
)

// TestCall: a call is answered by its number's document, fetched over mutual TLS; the caller hears its sounds one after the other over SRTP,
// and the document's end is the call's.
func TestCall(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"5000": `<form><block>` + audio(600, 1200) + audio(900, 1200) + `</block></form>`})
	ctx := within(t)
	c := l.call(ctx, "5000")
	l.hears(ctx, c, 600)
	if ev := c.Evidence(); ev.Suite == "" || ev.RxAuth == 0 {
		t.Errorf("not over SRTP: %+v", ev)
	}
	if p := l.s.Picture(); len(p.Sessions) != 1 || p.Sessions[0].Called != "5000" || p.Sessions[0].Calling != "4711" {
		t.Errorf("picture %+v", p)
	}
	l.hears(ctx, c, 900)
	l.ends(ctx, c)
}

// TestRefusals: nobody but the peers calls, and no document from elsewhere or nowhere is answered.
func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"5000": `<form/>`}, func(_ *Config, v *config.VoiceBrowser) {
		v.Applications = append(v.Applications, config.VoiceApplication{Pattern: "6000", URL: "https://elsewhere.test/"},
			config.VoiceApplication{Pattern: "6001", URL: v.Origins[0].URL + "/nothing"})
	})
	ctx := within(t)
	for _, test := range []struct {
		subject, number string
		status          int
	}{{"stranger.test", "5000", 403}, {"caller.test", "4999", 404}, {"caller.test", "dialog", 404}, {"caller.test", "6000", 404}, {"caller.test", "6001", 503}} {
		c := l.dial(ctx, test.subject, test.number)
		if status, _, err := c.WaitEnded(ctx); err != nil || status != test.status {
			t.Errorf("%s calls %s: %d, %v, wanted %d (%s)", test.subject, test.number, status, err, test.status, c.Warning())
		}
	}
}

// TestMenu: digits choose, a prompt is barged into, what is typed ahead counts, silence and nonsense are answered, values are submitted.
func TestMenu(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{
		"5000": `<form id="f">` + digitsField("choice", 1, "", `<prompt>`+audio(500, 30000)+`</prompt><filled><prompt>`+audio(700, 1000)+`</prompt></filled>`) +
			digitsField("pin", 4, "", `<property name="timeout" value="3s"/><prompt>`+audio(1100, 20000)+`</prompt>`) +
			`<block><submit next="/take" method="post" namelist="choice pin"/></block></form>`,
		"5001": `<form>` + digitsField("n", 1, "", `<prompt bargein="false">`+audio(800, 1500)+`</prompt><prompt>`+audio(1200, 20000)+`</prompt>`,
			`<filled><submit next="/take" method="post" namelist="n"/></filled>`) + `</form>`,
		"5002": `<form>` + digitsField("n", 1, "", `<property name="timeout" value="300ms"/><prompt>`+audio(600, 300)+`</prompt>`,
			`<noinput><prompt>`+audio(1000, 1200)+`</prompt><exit/></noinput>`) + `</form>`,
	})
	l.web.docs["/take"] = `<form><block>` + audio(1500, 1000) + `</block></form>`
	ctx := within(t)

	c := l.call(ctx, "5000")
	l.hears(ctx, c, 500)
	must(t, c.SendDigits(ctx, "3"))
	l.hears(ctx, c, 1100) // the 30 s of the first prompt were cut short
	must(t, c.SendDigits(ctx, "4711"))
	r := l.web.submission(ctx)
	if r.PostFormValue("choice") != "3" || r.PostFormValue("pin") != "4711" {
		t.Errorf("submitted %v", r.PostForm)
	}
	l.hears(ctx, c, 1500)
	l.ends(ctx, c)

	c = l.call(ctx, "5000") // everything typed ahead
	must(t, c.SendDigits(ctx, "91234"))
	if r := l.web.submission(ctx); r.PostFormValue("choice") != "9" || r.PostFormValue("pin") != "1234" {
		t.Errorf("typed ahead: %v", r.PostForm)
	}
	must(t, c.Hangup(ctx))

	c = l.call(ctx, "5001")
	l.hears(ctx, c, 800)
	must(t, c.SendDigits(ctx, "1")) // into a prompt that takes none
	l.hears(ctx, c, 1200)
	must(t, c.SendDigits(ctx, "2"))
	if r := l.web.submission(ctx); r.PostFormValue("n") != "2" {
		t.Errorf("bargein=false: %v", r.PostForm)
	}
	must(t, c.Hangup(ctx))

	c = l.call(ctx, "5002")
	l.hears(ctx, c, 1000) // noinput
	l.ends(ctx, c)
}

// TestReadyPrompts: without a speech engine numbers are heard, and a text nobody can say is a tone and a line for the operator.
func TestReadyPrompts(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"5000": `<form><block><prompt>please hold the line <say-as interpret-as="digits">123</say-as><break time="500ms"/>Donaudampfschiff</prompt></block></form>`})
	ctx := within(t)
	c := l.call(ctx, "5000")
	l.ends(ctx, c)
	if st := l.s.speaker.Stats(); st.Ready < 2 || st.Failed != 1 || l.s.counts.troubles.Load() != 1 {
		t.Errorf("speech %+v, %d troubles", st, l.s.counts.troubles.Load())
	}
}

// TestRecord: after the beep the caller is recorded until it is silent or presses a key; the recording is played back and submitted.
func TestRecord(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"5000": `<form><record name="msg" beep="true" maxtime="20s" finalsilence="800ms" dtmfterm="true" type="audio/x-wav">
			<filled><prompt>` + audio(1900, 600) + `<audio expr="msg"/></prompt>
			<submit next="/take" method="post" enctype="multipart/form-data" namelist="msg"/></filled></record></form>`})
	l.web.docs["/take"] = `<form><block>` + audio(1500, 1000) + `</block></form>`
	ctx := within(t)
	c := l.call(ctx, "5000")
	l.hears(ctx, c, 1000) // the beep
	c.Tone(770)
	begin := time.Now()
	for time.Since(begin) < 1500*time.Millisecond {
		if !pass(ctx, 100*time.Millisecond) {
			t.Fatal(ctx.Err())
		}
	}
	c.Tone(0)
	l.hears(ctx, c, 1900)
	l.hears(ctx, c, 770) // heard back
	r := l.web.submission(ctx)
	pcm, err := wav.Read(part(t, r, "msg"))
	if err != nil || len(pcm) < 1200*8 || len(pcm) > 5000*8 {
		t.Fatalf("%d samples, %v", len(pcm), err)
	}
	if level := tone.Level(pcm[4000:8000], 770); level < -20 {
		t.Errorf("770 Hz at %.0f dBm0 in the recording", level)
	}
	l.hears(ctx, c, 1500)
	l.ends(ctx, c)
}

// TestHangup: a document has its last words after the caller has hung up.
func TestHangup(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"5000": `<catch event="connection.disconnect.hangup"><submit next="/bye" method="post" namelist="session.connection.remote.uri session.connection.local.uri"/></catch>
		<form>` + digitsField("n", 1, "", `<prompt>`+audio(600, 30000)+`</prompt>`) + `</form>`})
	ctx := within(t)
	c := l.call(ctx, "5000")
	l.hears(ctx, c, 600)
	must(t, c.Hangup(ctx))
	r := l.web.submission(ctx)
	if got := r.PostForm.Encode(); !strings.Contains(got, "4711") || !strings.Contains(got, "5000") {
		t.Errorf("submitted %s", got)
	}
	drained, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	must(t, l.s.Drain(drained))
}
