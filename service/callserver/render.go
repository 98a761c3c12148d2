package callserver

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/wire/vxml"
)

// Names of what a document submits: of the step with that index its result, and why there is none.
const (
	resultName = "r"
	whyName    = "w"
)

// A rendering makes the VoiceXML document of one page. Each step is a form, which goes to the next one; the last submits what was entered.
//
// What is to be heard stands in fields, also where nothing is asked: prompts are played when input is waited for (VoiceXML 2.0, 4.1.8), and a
// submit alone would not wait for their end.
type rendering struct {
	root  *vxml.Element
	steps []contact.Play
}

// render writes the document whose results go to the address submit. Without steps it ends the session.
func render(steps []contact.Play, language, submit string, patience time.Duration) ([]byte, error) {
	r := rendering{root: vxml.New("xml:lang", language), steps: steps}
	if len(steps) == 0 {
		r.root.Add("form").Add("block").Add("exit")
		return r.root.Encode()
	}
	var names []string
	for i := range steps {
		if asks(&steps[i]) {
			for _, n := range []string{resultName, whyName} {
				name := n + strconv.Itoa(i)
				r.root.Add("var", "name", name, "expr", "''")
				names = append(names, name)
			}
		}
	}
	r.root.Add("var", "name", "done", "expr", "'yes'")
	for i := range steps {
		r.step(i)
	}
	form := r.root.Add("form", "id", formName(len(steps)))
	enctype := ""
	if recording(steps) {
		enctype = "multipart/form-data"
	}
	form.Add("block").Add("submit", "next", submit, "method", "post", "enctype", enctype, "namelist", strings.Join(append(names, "done"), " "),
		"fetchtimeout", seconds(patience))
	return r.root.Encode()
}

func asks(p *contact.Play) bool {
	return p.Kind == contact.Menu || p.Kind == contact.Digits || p.Kind == contact.Record
}

func recording(steps []contact.Play) bool {
	for i := range steps {
		if steps[i].Kind == contact.Record {
			return true
		}
	}
	return false
}

func formName(i int) string { return "s" + strconv.Itoa(i) }

// seconds is a time as VoiceXML writes it, in milliseconds.
func seconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// onwards goes to the form behind step i, over to the end of the document, where nothing behind it is to be done.
func onwards(e *vxml.Element, i int) { e.Add("goto", "next", "#"+formName(i+1)) }

func (r *rendering) step(i int) {
	p := &r.steps[i]
	form := r.root.Add("form", "id", formName(i))
	switch p.Kind {
	case contact.Say:
		r.say(form, i, p)
	case contact.Menu, contact.Digits:
		r.ask(form, i, p)
	case contact.Music:
		r.music(form, i, p)
	case contact.Record:
		r.record(form, i, p)
	}
}

// anyKey is a grammar of one key: a field needs one, and a key ends the prompts where they may be barged into.
func anyKey(field *vxml.Element) {
	var items []string
	for _, k := range "0123456789*#" {
		items = append(items, string(k))
	}
	keysOf(field, items)
}

// keysOf adds a DTMF grammar of sequences of keys.
func keysOf(field *vxml.Element, sequences []string) {
	g := field.Add("grammar", "version", "1.0", "mode", "dtmf", "root", "keys")
	one := g.Add("rule", "id", "keys", "scope", "public").Add("one-of")
	for _, s := range sequences {
		one.Add("item").Write(strings.Join(strings.Split(s, ""), " "))
	}
}

// prompts adds what is heard. wait is how long is waited for a key afterwards.
func prompts(in *vxml.Element, p *contact.Play, barge bool, wait time.Duration) {
	prompt := in.Add("prompt", "bargein", strconv.FormatBool(barge), "timeout", seconds(wait))
	for _, m := range p.Prompts {
		if m.Audio != "" {
			prompt.Add("audio", "src", audio(m.Audio))
		} else {
			prompt.Add("s").Write(m.Text)
		}
	}
}

// audio is the address of an audio file: a URI as it is, a name one that this server serves.
func audio(name string) string {
	if strings.Contains(name, "://") {
		return name
	}
	return audioPath + escapePath(name)
}

// say plays prompts to their end, or to a key.
func (r *rendering) say(form *vxml.Element, i int, p *contact.Play) {
	field := form.Add("field", "name", "heard")
	anyKey(field)
	prompts(field, p, p.Barge, 0)
	onwards(field.Add("catch", "event", "noinput nomatch"), i)
	onwards(field.Add("filled"), i)
}

// ask plays prompts and collects keys.
func (r *rendering) ask(form *vxml.Element, i int, p *contact.Play) {
	n := strconv.Itoa(i)
	form.Add("var", "name", "tries", "expr", "0")
	field := form.Add("field", "name", "keyed")
	if p.Kind == contact.Digits {
		least, most := p.Range()
		field.Attributes = append(field.Attributes, vxml.Attribute{Name: "type", Value: fmt.Sprintf("digits?minlength=%d;maxlength=%d", least, most)})
		end := p.End
		switch end {
		case "":
			end = "#"
		case contact.NoEnd:
			end = ""
		}
		// An attribute without a value is one that is not wanted, for the writer; this one is.
		field.Append(&vxml.Element{Name: "property", Attributes: []vxml.Attribute{{Name: "name", Value: "termchar"}, {Name: "value", Value: end}}})
	} else {
		var keys []string
		for _, c := range p.Choices {
			keys = append(keys, c.Key)
		}
		keysOf(field, keys)
	}
	field.Add("property", "name", "interdigittimeout", "value", seconds(orTime(p.Inter, 3*time.Second)))
	field.Add("property", "name", "inputmodes", "value", "dtmf")
	prompts(field, p, p.Barge, orTime(p.Timeout, 5*time.Second))
	tries := p.Tries
	if tries == 0 {
		tries = 3
	}
	r.again(field, n, tries)
	filled := field.Add("filled")
	filled.Add("assign", "name", "document."+resultName+n, "expr", "keyed")
	onwards(filled, i)
}

// again asks once more, as often as there are tries; then the treatment is over.
func (r *rendering) again(item *vxml.Element, n string, tries int) {
	catch := item.Add("catch", "event", "noinput nomatch")
	catch.Add("assign", "name", "tries", "expr", "tries + 1")
	branch := catch.Add("if", "cond", "tries >= "+strconv.Itoa(tries))
	branch.Add("assign", "name", "document."+whyName+n, "expr", "_event")
	branch.Add("goto", "next", "#"+formName(len(r.steps)))
	branch.Add("else")
	branch.Add("reprompt")
}

// musicPiece is the longest piece of our own music that is fetched at once.
const musicPiece = time.Minute

// music plays a source over and over until its time is over, or for ever. Keys do nothing.
func (r *rendering) music(form *vxml.Element, i int, p *contact.Play) {
	src := audio(p.Source)
	if p.Source == "" {
		piece := musicPiece
		if p.For > 0 {
			piece = min(piece, p.For)
		}
		src = audioPath + "music.wav?ms=" + strconv.FormatInt(piece.Milliseconds(), 10)
	}
	form.Add("var", "name", "began", "expr", "new Date().getTime()")
	field := form.Add("field", "name", "heard")
	anyKey(field)
	// A source that cannot be played is no sound at all: the pause keeps that from going round in no time.
	play := contact.Play{}
	prompts(field, &play, false, time.Second)
	field.Children[len(field.Children)-1].Element.Add("audio", "src", src)
	catch := field.Add("catch", "event", "noinput nomatch")
	filled := field.Add("filled")
	for _, e := range []*vxml.Element{catch, filled} {
		if p.For > 0 {
			branch := e.Add("if", "cond", "new Date().getTime() - began >= "+strconv.FormatInt(p.For.Milliseconds(), 10))
			onwards(branch, i)
			branch.Add("else")
			branch.Add("clear", "namelist", "heard")
			branch.Add("reprompt")
			continue
		}
		e.Add("clear", "namelist", "heard")
		e.Add("reprompt")
	}
}

// record plays prompts and records.
func (r *rendering) record(form *vxml.Element, i int, p *contact.Play) {
	n := strconv.Itoa(i)
	form.Add("var", "name", "tries", "expr", "0")
	item := form.Add("record", "name", "said", "beep", "true", "maxtime", seconds(orTime(p.For, time.Minute)), "finalsilence", "3000ms", "dtmfterm", "true",
		"type", "audio/x-wav")
	prompts(item, p, p.Barge, orTime(p.Timeout, 5*time.Second))
	tries := p.Tries
	if tries == 0 {
		tries = 3
	}
	r.again(item, n, tries)
	filled := item.Add("filled")
	filled.Add("assign", "name", "document."+resultName+n, "expr", "said")
	onwards(filled, i)
}

func orTime(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
