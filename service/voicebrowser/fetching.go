package voicebrowser

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/service/voicebrowser/fetch"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// maxDocument bounds a document, script, grammar or data, octets: as the interpreter does.
const maxDocument = 1 << 20

// fetch does interpreter.Fetch. Documents are fetched after the caller has hung up too: their handlers may submit what was gathered.
func (x *session) fetch(a *interpreter.Fetch) (interpreter.Outcome, error) {
	r := fetch.Request{URL: a.URL, Method: cmp.Or(a.Method, http.MethodGet), Timeout: a.Timeout, MaxAge: a.MaxAge, MaxStale: a.MaxStale, MaxBody: maxDocument}
	if r.Method != http.MethodGet {
		var err error
		if r.Body, r.Type, err = x.form(a); err != nil {
			return failed(err), nil
		}
	}
	done := make(chan interpreter.Outcome, 1)
	go func() {
		res, err := x.site.client.Fetch(x.run, r)
		if err != nil {
			x.s.counts.fetchesFailed.Add(1)
			done <- failed(err)
			return
		}
		x.s.counts.fetches.Add(1)
		done <- interpreter.Outcome{Fetched: &interpreter.Fetched{Status: res.Status, URL: res.URL, Type: res.Type, Body: res.Body}}
	}()
	out := x.meanwhile(a, done)
	if a.Use == interpreter.UseDocument && out.Fetched.Status >= 200 && out.Fetched.Status < 300 && x.call.Err() == nil {
		// RFC 5552, 2.2: the call is accepted when the document is there.
		return out, x.answer()
	}
	return out, nil
}

func failed(err error) interpreter.Outcome {
	f := &interpreter.Fetched{Failure: err.Error()}
	var e *fetch.Error
	if errors.As(err, &e) {
		f.Denied, f.Timeout = e.Denied, e.Timeout
	}
	return interpreter.Outcome{Fetched: f}
}

// meanwhile waits for a fetch; fetchaudio plays once its delay is over, and then for its minimum. VoiceXML 2.0, 6.3.5.
func (x *session) meanwhile(a *interpreter.Fetch, done <-chan interpreter.Outcome) interpreter.Outcome {
	if a.Audio == "" || !x.answered {
		return <-done
	}
	select {
	case out := <-done:
		return out
	case <-time.After(a.Delay):
	}
	ctx, cancel := context.WithCancel(x.call)
	defer cancel()
	sound := make(chan []int16, 1)
	x.renders.Go(func() {
		pcm, err := x.sound(ctx, &interpreter.Audio{URL: a.Audio, MaxAge: fetch.Unsaid, MaxStale: fetch.Unsaid})
		if err != nil && ctx.Err() == nil {
			x.trouble("fetchaudio", err)
		}
		sound <- pcm
	})
	var began time.Time
	for {
		select {
		case pcm := <-sound:
			if len(pcm) > 0 {
				began = time.Now()
				x.halt()
				x.leg.Start(tone.NewLoop(pcm))
			}
		case out := <-done:
			if !began.IsZero() {
				pass(x.call, a.Minimum-time.Since(began))
				x.leg.Start(nil)
			}
			return out
		}
	}
}

// form is the body of a submit.
func (x *session) form(a *interpreter.Fetch) (body []byte, kind string, err error) {
	if !strings.EqualFold(a.Encoding, "multipart/form-data") {
		var order []string
		for _, v := range a.Form {
			if v.Recording != "" {
				return x.parts(a.Form) // a recording cannot be sent otherwise
			}
			order = append(order, url.QueryEscape(v.Name)+"="+url.QueryEscape(v.Value))
		}
		return []byte(strings.Join(order, "&")), "application/x-www-form-urlencoded", nil
	}
	return x.parts(a.Form)
}

func (x *session) parts(form []interpreter.Variable) ([]byte, string, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, v := range form {
		if v.Recording == "" {
			if err := w.WriteField(v.Name, v.Value); err != nil {
				return nil, "", err
			}
			continue
		}
		r := x.recordings.get(v.Recording)
		if r == nil {
			return nil, "", fmt.Errorf("%s: %w", v.Name, errNoSound)
		}
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, quoted(v.Name), "recording"+r.extension()))
		h.Set("Content-Type", r.kind)
		part, err := w.CreatePart(h)
		if err == nil {
			_, err = part.Write(r.encoded())
		}
		if err != nil {
			return nil, "", err
		}
	}
	err := w.Close() // writes the last boundary
	return b.Bytes(), w.FormDataContentType(), err
}

func quoted(s string) string {
	return strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(s)
}
