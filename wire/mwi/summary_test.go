package mwi

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

var examples = []struct {
	name, text string
	want       Summary
	written    string
}{
	{"RFC 3842, 5.2", "Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 2/8 (0/2)\r\n",
		Summary{true, "sip:alice@vmail.example.com", []Count{{Voice, 2, 8, true, 0, 2}}},
		"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 2/8 (0/2)\r\n"},
	{"RFC 3842, 6 A2", "Messages-Waiting: no\r\n", Summary{}, "Messages-Waiting: no\r\n"},
	{"header fields of messages", "Messages-Waiting: yes\r\nVoice-Message: 4/8 (1/2)\r\n\r\nTo: <alice@atlanta.example.com>\r\nPriority: urgent\r\n",
		Summary{true, "", []Count{{Voice, 4, 8, true, 1, 2}}}, "Messages-Waiting: yes\r\nVoice-Message: 4/8 (1/2)\r\n"},
	{"bare line feeds, other cases, unknown lines", "messages-waiting : YES\nvoice-message:1 / 0\nFAX-MESSAGE: 0/3\nX-Other: 5\n",
		Summary{true, "", []Count{{Class: Voice, New: 1}, {Class: "Fax", Old: 3}}}, "Messages-Waiting: yes\r\nVoice-Message: 1/0\r\nFax-Message: 0/3\r\n"},
}

func TestExamples(t *testing.T) {
	for _, x := range examples {
		got, err := Parse([]byte(x.text))
		if err != nil || !reflect.DeepEqual(*got, x.want) {
			t.Errorf("%s: %+v, %v", x.name, got, err)
			continue
		}
		if text := string(got.Append(nil)); text != x.written {
			t.Errorf("%s: written %q", x.name, text)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, at := range map[string]int{
		"": 0, "\r\n": 0, "Voice-Message: 1/0\r\n": 0, "Messages-Waiting: maybe\r\n": 0, "Messages-Waiting\r\n": 0,
		"Messages-Waiting: yes\r\nVoice-Message: 1\r\n": 23, "Messages-Waiting: yes\r\nVoice-Message: 1/-1\r\n": 23,
		"Messages-Waiting: yes\r\nVoice-Message: 1/99999999999\r\n": 23, "Messages-Waiting: yes\r\nVoice-Message: 1/1 (1/1\r\n": 23,
		"Messages-Waiting: yes\r\nVoice-Message: 1/1\r\nVoice-Message: 1/1\r\n": 43, strings.Repeat("x", MaxSize+1): MaxSize,
	} {
		var e *ParseError
		if s, err := Parse([]byte(text)); !errors.As(err, &e) || e.Offset != at {
			t.Errorf("%.60q: %+v, %v", text, s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, x := range examples {
		f.Add([]byte(x.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(s.Append(nil)); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%+v became %+v, %v\n%q", s, again, err, s.Append(nil))
		}
	})
}
