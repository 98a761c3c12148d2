package dialoginfo

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// The documents of the examples in RFC 4235, 6.
var examples = []struct {
	name, text string
	want       Document
}{
	{"6.1 F2", `<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full" entity="sip:alice@example.com">
</dialog-info>`, Document{Entity: "sip:alice@example.com"}},
	{"6.1 trying", `<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full" entity="sip:alice@example.com">
  <dialog id="as7d900as8" call-id="a84b4c76e66710" local-tag="1928301774" direction="initiator">
    <state>trying</state>
  </dialog>
</dialog-info>`, Document{Entity: "sip:alice@example.com", Dialogs: []Dialog{{ID: "as7d900as8", CallID: "a84b4c76e66710", LocalTag: "1928301774", Direction: Initiator, State: Trying}}}},
	{"6.1 fork, replaced", `<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="3" state="partial" entity="sip:alice@example.com">
  <dialog id="as7d900as8" call-id="a84b4c76e66710" local-tag="1928301774" remote-tag="hh76a" direction="initiator">
    <state event="replaced">terminated</state>
  </dialog>
  <dialog id="2" direction="recipient"><state event="rejected" code="603">terminated</state></dialog>
</dialog-info>`, Document{Entity: "sip:alice@example.com", Version: 3, Partial: true, Dialogs: []Dialog{
		{ID: "as7d900as8", CallID: "a84b4c76e66710", LocalTag: "1928301774", RemoteTag: "hh76a", Direction: Initiator, Why: "replaced"},
		{ID: "2", Direction: Recipient, Why: "rejected", Code: 603}}}},
	{"6.2 shared line, held", `<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="2" state="full" entity="sip:alice-shared@example.com">
  <dialog id="zxcvbnm3" call-id="k23fj" local-tag="l" remote-tag="r" direction="recipient">
    <state>confirmed</state>
    <local>
      <identity>sip:alice@example.com</identity>
      <target uri="sip:alice@pda.example.com"><param pname="+sip.rendering" pvalue="no"/></target>
    </local>
    <remote>
      <identity display="Bob &amp; Co">sip:bob@example.org</identity>
      <target uri="sip:bobster@phone21.example.org"></target>
    </remote>
  </dialog>
</dialog-info>`, Document{Entity: "sip:alice-shared@example.com", Version: 2, Dialogs: []Dialog{{ID: "zxcvbnm3", CallID: "k23fj", LocalTag: "l", RemoteTag: "r",
		Direction: Recipient, State: Confirmed, Local: Party{Identity: "sip:alice@example.com", Target: "sip:alice@pda.example.com", Params: []Param{notRendering}},
		Remote: Party{Display: "Bob & Co", Identity: "sip:bob@example.org", Target: "sip:bobster@phone21.example.org"}}}}},
}

func TestExamples(t *testing.T) {
	for _, x := range examples {
		got, err := Parse([]byte(x.text))
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		if !reflect.DeepEqual(*got, x.want) {
			t.Errorf("%s: got %+v\nwant %+v", x.name, *got, x.want)
		}
		if again, err := Parse(got.Append(nil)); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: written and read again: %+v, %v\n%s", x.name, again, err, got.Append(nil))
		}
	}
}

func TestWritten(t *testing.T) {
	d := Document{Entity: "sip:1002@example.com", Version: 3, Dialogs: []Dialog{{ID: "17", CallID: "f<8", LocalTag: "a", RemoteTag: "b", Direction: Recipient, State: Confirmed,
		Local: Party{Target: "sip:1002@example.com"}, Remote: Party{Display: `"A"`, Identity: "sip:1001@example.com"}}}}
	d.Dialogs[0].Local.Hold()
	want := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" +
		`<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="3" state="full" entity="sip:1002@example.com">` + "\r\n" +
		`<dialog id="17" call-id="f&lt;8" local-tag="a" remote-tag="b" direction="recipient">` + "\r\n<state>confirmed</state>\r\n" +
		`<local><target uri="sip:1002@example.com"><param pname="+sip.rendering" pvalue="no"/></target></local>` + "\r\n" +
		`<remote><identity display="&#34;A&#34;">sip:1001@example.com</identity></remote>` + "\r\n</dialog>\r\n</dialog-info>\r\n"
	if got := string(d.Append(nil)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !d.Dialogs[0].Local.Held() || d.Dialogs[0].Remote.Held() {
		t.Error("who holds is not seen")
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{"", "<", "<dialog-info/>", `<dialog-info xmlns="urn:x" version="0" state="full"/>`,
		`<dialog-info xmlns="` + Namespace + `" version="-1" state="full"/>`, `<dialog-info xmlns="` + Namespace + `" version="0" state="half"/>`,
		`<dialog-info xmlns="` + Namespace + `" version="0" state="full"><dialog id="1"><state>ringing</state></dialog></dialog-info>`,
		`<?xml version="1.0" encoding="latin1"?><dialog-info/>`, strings.Repeat(" ", MaxSize+1)} {
		var e *ParseError
		if d, err := Parse([]byte(text)); !errors.As(err, &e) {
			t.Errorf("%.60q: %+v, %v", text, d, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, x := range examples {
		f.Add([]byte(x.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(d.Append(nil)); err != nil || !reflect.DeepEqual(again, d) {
			t.Errorf("%+v became %+v, %v", d, again, err)
		}
	})
}
