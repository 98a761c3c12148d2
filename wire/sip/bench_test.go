package sip

import (
	"strings"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"
)

func BenchmarkParseInvite(b *testing.B) {
	data := []byte(invite)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseValidateInvite(b *testing.B) {
	data := []byte(invite)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		if bad := Validate(m); bad != nil {
			b.Fatal(bad)
		}
	}
}

// BenchmarkSipgoParseInvite is the same work by sipgo's parser, without any check: the yardstick.
func BenchmarkSipgoParseInvite(b *testing.B) {
	data := []byte(invite)
	parser := sipgo.NewParser()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parser.ParseSIP(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFramer(b *testing.B) {
	data := []byte(invite)
	var f Framer
	b.ReportAllocs()
	for b.Loop() {
		f.Write(data)
		if frame, ok := f.Next(); !ok || frame.Message == nil {
			b.Fatal("no message")
		}
	}
}

func BenchmarkBuild200(b *testing.B) {
	req := mustParse(b, invite)
	contact := Address{URI: URI{Scheme: "sip", User: "bob", Host: "192.0.2.4", Port: 5061}}
	sdp := []byte("v=0\r\n")
	b.ReportAllocs()
	for b.Loop() {
		res := NewResponse(req, 200, "")
		res.SetToTag("314159")
		res.SetContact(contact)
		res.SetBody("application/sdp", sdp)
	}
}

func BenchmarkAppend(b *testing.B) {
	m := mustParse(b, invite)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
}

// TestAllocations keeps what a message costs: a call is six messages and has 200 allocations in all.
func TestAllocations(t *testing.T) {
	data := []byte(invite)
	m := mustParse(t, invite)
	buf := make([]byte, 0, 4096)
	for name, test := range map[string]struct {
		most float64
		do   func()
	}{
		"parse and validate an INVITE": {4, func() {
			m, err := Parse(data)
			if err != nil || Validate(m) != nil {
				t.Error("refused")
			}
		}},
		"append":   {0, func() { buf = m.Append(buf[:0]) }},
		"response": {2, func() { NewResponse(m, 200, "") }},
	} {
		if got := testing.AllocsPerRun(100, test.do); got > test.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, test.most)
		}
	}
}

// TestSipgoReadsWhatWeWrite holds our writer against a parser by somebody else: same start line, same routing, same body.
func TestSipgoReadsWhatWeWrite(t *testing.T) {
	req := mustParse(t, invite)
	res := NewResponse(req, 200, "")
	res.SetToTag("x")
	res.SetBody("application/sdp", []byte("v=0\r\n"))
	for _, m := range []*Message{req, res} {
		theirs, err := sipgo.ParseMessage([]byte(m.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, m)
		}
		equal(t, "Call-ID", theirs.CallID().Value(), m.CallID())
		equal(t, "CSeq", theirs.CSeq().Value(), m.CSeq().String())
		equal(t, "Via branch", theirs.Via().Params.GetOr("branch", ""), m.TopVia().Branch())
		equal(t, "From tag", theirs.From().Params.GetOr("tag", ""), m.FromTag())
		equal(t, "To tag", theirs.To().Params.GetOr("tag", ""), m.ToTag())
		equal(t, "body", string(theirs.Body()), string(m.Body()))
		equal(t, "Record-Routes", len(theirs.GetHeaders("Record-Route")), len(m.RecordRoutes()))
		if r, ok := theirs.(*sipgo.Request); ok {
			equal(t, "method", string(r.Method), string(m.Method()))
			equal(t, "URI", strings.ToLower(r.Recipient.String()), m.RequestURI().String())
		}
	}
}
