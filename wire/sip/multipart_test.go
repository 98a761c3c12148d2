package sip

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

// withBody is an INVITE whose body is written with | for CRLF.
func withBody(contentType, disposition, body string) *Message {
	m := NewRequest(INVITE, URI{Scheme: "sip", User: "b", Host: "b.example"})
	m.SetBody(contentType, []byte(strings.ReplaceAll(body, "|", "\r\n")))
	if disposition != "" {
		m.Set("Content-Disposition", disposition)
	}
	return m
}

const (
	sdpPart     = "--b|Content-Type: application/sdp||v=0|o=x|"
	secondSDP   = "--b|Content-Type: application/sdp||v=0|o=y|"
	picture     = "--b|Content-Type: image/png|Content-Disposition: render; handling=optional||PNG|"
	isup        = "--b|Content-Type: application/isup;version=x|Content-Disposition: signal ; handling=required||1234|"
	bare        = "--b||just text|"
	base64SDP   = "--b|Content-Type: application/sdp|Content-Transfer-Encoding: base64||dj0w|"
	nested      = "--b|Content-Type: multipart/mixed; boundary=c||--c|Content-Type: application/sdp||v=0|o=n|--c--|"
	nestedOpt   = "--b|Content-Type: multipart/mixed; boundary=c|Content-Disposition: x;handling=optional||--c|Content-Type: foo/bar||v||--c--|"
	finish      = "--b--|"
	mixed       = "multipart/mixed; boundary=b"
	alternative = `multipart/alternative;boundary="b"`
)

func TestMultipartBodies(t *testing.T) {
	c := Capabilities{Methods: []Method{INVITE}, Bodies: []string{"application/sdp", "multipart/mixed", "multipart/alternative"}}
	for _, x := range []struct {
		name, contentType, disposition, body string
		sdp                                  string
		status                               int
	}{
		{"plain", "application/sdp", "", "v=0|o=x", "v=0|o=x", 0},
		{"mixed, description only", mixed, "", sdpPart + finish, "v=0|o=x", 0},
		{"type in capitals", "Multipart/Mixed; Boundary=b", "", sdpPart + finish, "v=0|o=x", 0},
		{"optional part before", mixed, "", picture + sdpPart + finish, "v=0|o=x", 0},
		{"optional part after", mixed, "", sdpPart + picture + finish, "v=0|o=x", 0},
		{"required part unknown", mixed, "", sdpPart + isup + finish, "v=0|o=x", 415},
		{"part without a type is text", mixed, "", sdpPart + bare + finish, "v=0|o=x", 415},
		{"whole body may be ignored", mixed, "session;handling=optional", sdpPart + isup + finish, "v=0|o=x", 0},
		{"handling of another parameter's value", mixed, `session;x="handling=optional"`, sdpPart + isup + finish, "v=0|o=x", 415},
		{"alternatives: the last we know", alternative, "", sdpPart + secondSDP + isup + finish, "v=0|o=y", 0},
		{"alternatives: none known", alternative, "", isup + bare + finish, "", 415},
		{"nested", mixed, "", picture + nested + finish, "v=0|o=n", 0},
		{"nested, may be ignored", mixed, "", sdpPart + nestedOpt + finish, "v=0|o=x", 0},
		{"nested that may be ignored does not cover what follows", mixed, "", nestedOpt + isup + finish, "", 415},
		{"encoded part is none we know", mixed, "", base64SDP + finish, "", 415},
		{"no boundary", "multipart/mixed", "", sdpPart + finish, "", 400},
		{"does not end", mixed, "", strings.TrimSuffix(sdpPart, "|"), "", 400},
		{"too many", mixed, "", strings.Repeat(picture, 17) + finish, "", 400},
		{"as many as may be", mixed, "", strings.Repeat(picture, 15) + sdpPart + finish, "v=0|o=x", 0},
		{"type not listed", "multipart/related;boundary=b", "", sdpPart + finish, "v=0|o=x", 415},
		{"type not listed, may be ignored", "multipart/related;boundary=b", "x; handling = Optional", sdpPart + finish, "v=0|o=x", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			m := withBody(x.contentType, x.disposition, x.body)
			if got := strings.ReplaceAll(string(m.Part("application/sdp")), "\r\n", "|"); got != x.sdp {
				t.Errorf("description %q, want %q", got, x.sdp)
			}
			status := 0
			if r := Screen(m, c); r != nil {
				status = r.Status
				if _, accept := field(r.Fields, "Accept"); status == 415 && !accept {
					t.Error("415 without Accept")
				}
			}
			if status != x.status {
				t.Errorf("screened with %d, want %d", status, x.status)
			}
		})
	}
}

func field(list []Field, name string) (string, bool) {
	for _, f := range list {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// Parts of parts of parts end somewhere.
func TestMultipartDepth(t *testing.T) {
	body, contentType := "v=0", "application/sdp"
	for depth := range 5 {
		m := withBody(contentType, "", body)
		if got := m.Part("application/sdp") != nil; got != (depth <= maxPartDeep) {
			t.Errorf("depth %d: found %v", depth, got)
		}
		b := "b" + strconv.Itoa(depth)
		body = "--" + b + "|Content-Type: " + contentType + "||" + body + "||--" + b + "--|"
		contentType = "multipart/mixed; boundary=" + b
	}
}

func FuzzMultipart(f *testing.F) {
	for _, body := range []string{sdpPart + finish, picture + nested + finish, isup + bare + base64SDP + nestedOpt + finish, "--b|--b--"} {
		f.Add(mixed, []byte(strings.ReplaceAll(body, "|", "\r\n")))
	}
	f.Add(alternative, []byte("--b\r\n\r\n--b--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		if strings.ContainsAny(contentType, "\r\n") {
			return
		}
		m := NewRequest(INVITE, URI{Scheme: "sip", Host: "b.example"})
		m.SetBody(contentType, body)
		if found := m.Part("application/sdp"); len(found) > len(body) || found != nil && !bytes.Contains(body, found) {
			t.Errorf("part %q is not in the body", found)
		}
		_ = Screen(m, Capabilities{Methods: []Method{INVITE}, Bodies: []string{"multipart/mixed"}})
	})
}
