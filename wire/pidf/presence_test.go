package pidf

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// A document as a call manager of the field sends it to a desk phone, and the first example of RFC 3863.
const (
	field = `<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:8001@192.0.2.1" xmlns:e="urn:ietf:params:xml:ns:pidf:status:rpid" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:ce="urn:cisco:params:xml:ns:pidf:rpid" xmlns:sc="urn:ietf:params:xml:ns:pidf:servcaps">
  <dm:person>
    <status><basic>open</basic></status>
    <e:activities><e:on-the-phone/></e:activities>
  </dm:person>
  <tuple id="cmp-8001-162">
    <status><basic>open</basic><e:activities><e:on-the-phone/></e:activities></status>
    <sc:servcaps><sc:audio>true</sc:audio></sc:servcaps>
    <contact priority="0.8">sip:8001@192.0.2.1:5060</contact>
  </tuple>
</presence>`
	standard = `<?xml version="1.0" encoding="UTF-8"?>
<impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf" entity="pres:someone@example.com">
  <impp:tuple id="sg89ae">
    <impp:status><impp:basic>open</impp:basic></impp:status>
    <impp:contact priority="0.8">tel:+09012345678</impp:contact>
  </impp:tuple>
</impp:presence>`
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Presence{
		field:    {Entity: "sip:8001@192.0.2.1", Tuple: "cmp-8001-162", Open: true, Activities: []Activity{OnThePhone}},
		standard: {Entity: "pres:someone@example.com", Tuple: "sg89ae", Open: true},
	} {
		if got, err := Parse([]byte(text)); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestWritten(t *testing.T) {
	p := Presence{Entity: "sip:1002@example.com", Tuple: "1002", Activities: []Activity{Alerting, OnThePhone, Busy, DoNotDisturb, 9}}
	want := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" + `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"` +
		` xmlns:e="urn:ietf:params:xml:ns:pidf:status:rpid" xmlns:ce="urn:cisco:params:xml:ns:pidf:rpid" entity="sip:1002@example.com">` + "\r\n" +
		`<dm:person id="p1002"><e:activities><ce:alerting/><e:on-the-phone/><e:busy/><ce:dnd/></e:activities></dm:person>` + "\r\n" +
		`<tuple id="t1002"><status><basic>closed</basic></status></tuple>` + "\r\n</presence>\r\n"
	if got := string(p.Append(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{"", "<presence/>", `<presence xmlns="urn:x"/>`, "<a><b></a>", `<?xml version="1.0" encoding="utf-16"?><presence/>`, strings.Repeat(" ", MaxSize+1)} {
		var e *ParseError
		if p, err := Parse([]byte(text)); !errors.As(err, &e) {
			t.Errorf("%.40q: %+v, %v", text, p, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(field))
	f.Add([]byte(standard))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(p.Append(nil)); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
	})
}
