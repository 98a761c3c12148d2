package voicebrowser

import (
	"testing"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/voicebrowser/fetch"
)

// TestBegin: the parameters of the Request-URI name the document and what it is told. RFC 5552, 2.1 and 2.4.
func TestBegin(t *testing.T) {
	client, err := fetch.New(fetch.Config{Origins: []fetch.Origin{{URL: "https://cs.test:8443"}}})
	must(t, err)
	x := &site{client: client, VoiceBrowser: config.VoiceBrowser{Applications: []config.VoiceApplication{{Pattern: "5!", URL: "https://cs.test:8443/five"}, {Pattern: "50XX", URL: "https://cs.test:8443/fifty"}}}}
	info := applet.Info{Called: prefix, Calling: call.Identity{Number: "4711", Domain: "caller.test"},
		Parameters: ";voicexml=https://cs.test:8443/vxml/1%3fa=b;aai=%7B1%7D;maxage=60;method=post;postbody=x=1"}
	start, err := x.begin(info, "vb.test")
	must(t, err)
	c := start.Connection
	if start.URL != "https://cs.test:8443/vxml/1?a=b" || start.Method != "POST" || start.MaxAge != time.Minute || len(start.Form) != 1 || c.AAI != "{1}" ||
		c.Local != "sip:dialog@vb.test" || c.Remote != "sip:4711@caller.test" || c.RequestURI["aai"] != "{1}" {
		t.Errorf("%+v", start)
	}
	for number, url := range map[string]string{"5012": "/fifty", "599": "/five", "5": "", "4": ""} {
		start, err := x.begin(applet.Info{Called: prefix + number}, "vb.test")
		if url == "" && err == nil || url != "" && (err != nil || start.URL != "https://cs.test:8443"+url) {
			t.Errorf("%s: %q, %v", number, start.URL, err)
		}
	}
	info.Parameters = ";voicexml=https://elsewhere.test/"
	if _, err := x.begin(info, "vb.test"); err == nil {
		t.Error("a document of elsewhere is run")
	}
}

func TestDestination(t *testing.T) {
	for uri, want := range map[string]string{"tel:+1-201-555-0123": "+12015550123", "sip:2001@cm.test;user=phone": "2001", "tel:2001;ext=1": "2001", "mailto:a@b": "!error.unsupported.uri",
		"tel:": "!error.connection.baddestination", "tel:A100": "!error.connection.baddestination", "sip:1%2B2@x": "!error.connection.baddestination"} {
		number, failure := destination(uri)
		if failure != "" {
			number = "!" + failure
		}
		if number != want {
			t.Errorf("%s: %s, want %s", uri, number, want)
		}
	}
}
