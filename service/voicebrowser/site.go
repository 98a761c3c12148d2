package voicebrowser

import (
	"crypto/tls"
	"errors"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/service/voicebrowser/fetch"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sip/transport"
)

// site is the configuration in force, immutable and replaced whole.
type site struct {
	config.VoiceBrowser
	revision int64
	model    call.Site
	peers    []element.Peer
	client   *fetch.Client
}

// The engine's names: one search space, one applet. A number that comes in has prefix in front, so that nobody outside reaches the
// numbers of transfers.
const (
	space     = "voicebrowser"
	appletRun = "vxml"
	prefix    = "A"
)

// dialog is the user part that names no number but a document. RFC 5552, 2.1.
const dialog = "dialog"

// compile makes what the engine and the element need of a configuration. before gives the client whose cache goes on where its origins do.
func (s *Service) compile(snapshot store.Snapshot, before *site) (*site, error) {
	out := &site{VoiceBrowser: snapshot.Site.VoiceBrowserOf(s.cfg.Node), revision: snapshot.Revision.Number}
	if f := out.SoundFolder; f != "" && !filepath.IsAbs(f) {
		out.SoundFolder = filepath.Join(s.cfg.Folder, f)
	}
	out.model.Policy = call.Policy{MaxDuration: out.MaxDuration.D() + time.Minute} // the session's own limit comes first
	out.model.Applets = []call.Applet{{Name: appletRun, Driver: element.DriverApplet}}
	out.model.Plan = dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: space, Partitions: []string{space}}},
		Patterns: []dialplan.Pattern{{Digits: prefix, Partition: space, Kind: dialplan.ToApplet, To: appletRun}, {Digits: prefix + "!", Partition: space, Kind: dialplan.ToApplet, To: appletRun},
			{Digits: prefix + `\+!`, Partition: space, Kind: dialplan.ToApplet, To: appletRun}}}
	if out.TransferPeer != "" {
		for _, digits := range []string{`\+!`, "[0-9*#]", "[0-9*#]!"} {
			out.model.Plan.Patterns = append(out.model.Plan.Patterns, dialplan.Pattern{Digits: digits, Partition: space, Kind: dialplan.ToTrunk, To: out.TransferPeer})
		}
	}
	for _, p := range out.Peers {
		out.peers = append(out.peers, peerOf(p))
	}
	if before != nil && reflect.DeepEqual(before.Origins, out.Origins) && before.FetchTimeout == out.FetchTimeout {
		out.client = before.client
		return out, nil
	}
	var err error
	out.client, err = s.fetcher(out.VoiceBrowser)
	return out, err
}

func peerOf(p config.VoicePeer) element.Peer {
	out := element.Peer{Name: p.Name, Subjects: p.AcceptedSubjects, Trunk: call.Trunk{SearchSpace: space}, Leg: sipleg.Profile{Media: media.Profile{Security: desc.Required}, TrustAsserts: true, SendAsserts: true}}
	if p.RTPAllowed {
		out.Leg.Media.Security = desc.Optional
	}
	if p.Address != "" {
		out.Destinations = []element.Destination{{Address: p.Address, Port: p.Port, SecurePort: p.Port}}
	}
	switch p.Transport {
	case config.TransportTCP:
		out.Network = transport.TCP
	case config.TransportUDP:
		out.Network = transport.UDP
	}
	return out
}

func (s *Service) fetcher(v config.VoiceBrowser) (*fetch.Client, error) {
	var origins []fetch.Origin
	for _, o := range v.Origins {
		x := fetch.Origin{URL: o.URL, Subjects: o.AcceptedSubjects}
		if o.TLS == config.TLSOnly12 {
			x.MaxTLS = tls.VersionTLS12
		}
		origins = append(origins, x)
	}
	return fetch.New(fetch.Config{Identity: s.cfg.Identity, Origins: origins, Agent: "Locktone/" + s.cfg.Version, Timeout: v.FetchTimeout.D(), Now: s.cfg.Now, KeyLog: s.cfg.KeyLog})
}

// application is the document of a number: the pattern with most digits that stand for themselves wins.
func (x *site) application(number string) string {
	best, doc := -1, ""
	for _, a := range x.Applications {
		if exact, ok := fits(a.Pattern, number); ok && exact > best {
			best, doc = exact, a.URL
		}
	}
	return doc
}

// fits says whether a pattern fits a number, and how many of its digits stand for themselves.
func fits(pattern, number string) (exact int, ok bool) {
	pattern, open := strings.CutSuffix(pattern, "!")
	if len(number) < len(pattern) || len(number) > len(pattern) && !open || open && len(number) == len(pattern) {
		return 0, false
	}
	for i := range len(pattern) {
		switch {
		case pattern[i] == number[i]:
			exact++
		case pattern[i] != 'X' || number[i] < '0' || number[i] > '9':
			return 0, false
		}
	}
	return exact, true
}

// errNoDocument says that a call names no document and its number has none.
var errNoDocument = errors.New("no document: the Request-URI has no voicexml parameter (RFC 5552), and the number is none of voiceBrowsers.applications")

// begin makes a session of a call: its document and what documents may know of the call. RFC 5552, 2.1 and 2.4.
func (x *site) begin(info applet.Info, host string) (interpreter.Start, error) {
	out := interpreter.Start{MaxAge: fetch.Unsaid, MaxStale: fetch.Unsaid, Limits: interpreter.Limits{Document: maxDocument}}
	number := strings.TrimPrefix(info.Called, prefix)
	c := interpreter.Connection{Local: uriOf(number, host), Remote: uriOf(info.Calling.Number, info.Calling.Domain), Originator: "remote", ProtocolName: "sip", ProtocolVersion: "2.0",
		RequestURI: map[string]string{}}
	if c.Local == "" {
		c.Local = "sip:" + dialog + "@" + host
	}
	if info.Calling.Restricted {
		c.Remote = "sip:anonymous@anonymous.invalid"
	}
	for p := range strings.SplitSeq(strings.TrimPrefix(info.Parameters, ";"), ";") {
		name, value, _ := strings.Cut(p, "=")
		if name, value = strings.ToLower(unescaped(name)), unescaped(value); name != "" {
			c.RequestURI[name] = value
			parameter(&out, &c, name, value)
		}
	}
	for i := len(info.Redirecting) - 1; i >= 0; i-- {
		r := info.Redirecting[i]
		c.Redirect = append(c.Redirect, interpreter.Redirection{URI: uriOf(r.From.Number, r.From.Domain), Reason: r.Reason.String()})
	}
	out.Connection = c
	if out.URL == "" {
		out.URL = x.application(number)
	}
	if out.URL == "" {
		return out, errNoDocument
	}
	return out, x.client.Allowed(out.URL)
}

// parameter gives one of the Request-URI its meaning. RFC 5552, 2.1.
func parameter(out *interpreter.Start, c *interpreter.Connection, name, value string) {
	switch name {
	case "voicexml":
		out.URL = value
	case "aai":
		c.AAI = value
	case "method":
		out.Method = strings.ToUpper(value)
	case "maxage", "maxstale":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 365*24*3600 {
			return
		}
		if name == "maxage" {
			out.MaxAge = time.Duration(n) * time.Second
		} else {
			out.MaxStale = time.Duration(n) * time.Second
		}
	case "postbody":
		for _, pair := range strings.Split(value, "&") {
			k, v, _ := strings.Cut(pair, "=")
			out.Form = append(out.Form, interpreter.Variable{Name: unescaped(k), Value: unescaped(v)})
		}
	}
}

func uriOf(number, host string) string {
	if number == "" {
		return ""
	}
	if host == "" {
		return "tel:" + number
	}
	return "sip:" + number + "@" + host
}

func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
