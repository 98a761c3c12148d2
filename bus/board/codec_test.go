package board

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var example = Message{Kind: Delta, From: "n1", Life: Life{3, 0xfeed}, Seq: 1 << 40, Clock: 17, To: Life{1, 2}, Asking: 9, Part: 3, Parts: 5, Ops: []Op{
	{Fact: Fact{Owner: "n1", Kind: "registration", Key: "alice", Claim: 7, Exclusive: true, Value: json.RawMessage(`{"a":1}`)}},
	{Fact: Fact{Owner: "n1", Kind: "registration", Key: "bob", Claim: 8, Value: json.RawMessage(`null`)}},
	{Fact: Fact{Owner: "n1", Kind: "call", Key: "", Claim: 9}, Gone: true},
}}

func TestCodec(t *testing.T) {
	back, err := Parse(example.Append(nil))
	if d := cmp.Diff(example, back); err != nil || d != "" {
		t.Error(err, d)
	}
	data := example.Append(nil)
	for n := range data { // cut anywhere
		var syntax *SyntaxError
		if _, err := Parse(data[:n]); !errors.As(err, &syntax) || syntax.Offset > n {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// TestCodecRefuses: each error says where.
func TestCodecRefuses(t *testing.T) {
	change := func(at int, to byte) []byte {
		b := example.Append(nil)
		b[at] = to
		return b
	}
	bad := example
	bad.Ops = []Op{{Fact: Fact{Owner: "n1", Value: json.RawMessage("{")}}}
	for want, data := range map[string][]byte{
		"version 2; this node understands 1": change(0, 2),
		"unknown kind 9":                     change(1, 9),
		"longer than the message":            change(2, 0x7f),
		"the value is not JSON":              bad.Append(nil),
		"nobody says it":                     Message{Kind: Beat}.Append(nil),
	} {
		if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestCodecGrows: fields a newer node adds behind those known here are skipped.
func TestCodecGrows(t *testing.T) {
	m := Message{Kind: Beat, From: "n1", Life: Life{1, 2}}
	data := m.Append(nil)
	data[2] += 3
	grown := append(append([]byte{}, data[:len(data)-1]...), 1, 2, 3, data[len(data)-1])
	if back, err := Parse(grown); err != nil || back.From != "n1" || back.Life != m.Life {
		t.Errorf("%+v, %v", back, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example.Append(nil))
	f.Add(Message{Kind: Beat, From: "n1"}.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		back, err := Parse(m.Append(nil))
		if d := cmp.Diff(m, back); err != nil || d != "" {
			t.Fatal(err, d)
		}
		New(Config{Self: "n2"}).Step(0, Heard{m}) // total as well
	})
}
