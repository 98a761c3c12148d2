package interpreter

import (
	"context"
	"testing"
)

// typist answers every question with the next key.
type typist struct {
	document []byte
	keys     string
	at       int
}

func (p *typist) Do(_ context.Context, a Action) (Outcome, error) {
	switch {
	case a.Fetch != nil:
		return Outcome{Fetched: &Fetched{Status: 200, URL: a.Fetch.URL, Body: p.document}}, nil
	case a.Play != nil && a.Play.Collect != nil, a.Listen != nil:
		p.at++
		return Outcome{Input: &Input{Digit: p.keys[(p.at-1)%len(p.keys) : (p.at-1)%len(p.keys)+1]}}, nil
	}
	return Outcome{}, nil
}

// BenchmarkSession is one call through a greeting, a menu and four digits, from an empty interpreter to its end.
func BenchmarkSession(b *testing.B) {
	document := []byte(`<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml"><form><block>Welcome.</block>
 <field name="topic"><prompt>For sales press 1, for service press 2.</prompt><grammar mode="dtmf" root="r" version="1.0"><rule id="r"><one-of><item>1<tag>'sales'</tag></item><item>2<tag>'service'</tag></item></one-of></rule></grammar></field>
 <field name="account" type="digits?length=4"><prompt>Your account?</prompt></field>
 <filled><if cond="account.charAt(0) == '9'"><assign name="topic" expr="'gold'"/></if></filled>
 <block><exit namelist="topic account"/></block></form></vxml>`)
	for b.Loop() {
		if r := Run(b.Context(), Start{URL: "http://t/"}, &typist{document: document, keys: "19876"}); r.End != Exited || r.Values[0].Value != "gold" {
			b.Fatalf("%+v", r)
		}
	}
}
