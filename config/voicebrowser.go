package config

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// VoiceBrowser is how the voice browsers of the cluster run VoiceXML.
type VoiceBrowser struct {
	// Name of the settings: that of a node, or default for every node that has none of its own.
	Name string `yaml:"name" json:"name"`
	// Who sends calls here, and takes those that a document's transfer makes.
	Peers []VoicePeer `yaml:"peers" json:"peers,omitempty"`
	// Which document answers a number that is called without a voicexml parameter (RFC 5552). The closest pattern wins.
	Applications []VoiceApplication `yaml:"applications" json:"applications,omitempty"`
	// Where documents, scripts, grammars and sound may be fetched from. Everything else is refused, redirects too.
	Origins []VoiceOrigin `yaml:"origins" json:"origins,omitempty"`
	// Peer that calls of a document's bridged transfer leave by. Left out: such transfers end with error.unsupported.transfer.bridge.
	TransferPeer string `yaml:"transferPeer" json:"transferPeer,omitempty"`
	// Versions of TLS spoken in SIP; a change takes effect when the service starts again.
	TLS TLSVersions `yaml:"tls" json:"tls,omitempty"`
	// Speech of text for which there is no sound file.
	Speech Speech `yaml:"speech" json:"speech,omitzero"`
	// Folder of sound files that documents name builtin:NAME, and of music; a relative path begins at the home folder. Left out: only
	// what is built in.
	SoundFolder string `yaml:"soundFolder" json:"soundFolder,omitempty"`
	// Most sessions of one node at the same time, 1 to 5000. Default: 200.
	Sessions int `yaml:"sessions" json:"sessions,omitempty"`
	// Processes that wait for calls, so that none waits for a process, 1 to 200. Default: 4.
	Spares int `yaml:"spares" json:"spares,omitempty"`
	// Memory of one session in MiB, beyond what a process has at its start, 66 to 1024. Default: 96.
	SessionMemory int `yaml:"sessionMemory" json:"sessionMemory,omitempty"`
	// Longest session, 1m to 48h. Default: 24h.
	MaxDuration Duration `yaml:"maxDuration" json:"maxDuration,omitempty"`
	// How long a fetch may take where the document says nothing, 1s to 2m. Default: 10s.
	FetchTimeout Duration `yaml:"fetchTimeout" json:"fetchTimeout,omitempty"`
}

// VoicePeer is a system that sends calls to the voice browser: a call server, a call manager.
type VoicePeer struct {
	// Name of the peer.
	Name string `yaml:"name" json:"name"`
	// IP address or host name it is reached at. Left out: calls only come from it.
	Address string `yaml:"address" json:"address,omitempty"`
	// Port of it. Default: 5061 with TLS, else 5060.
	Port int `yaml:"port" json:"port,omitempty"`
	// How it comes and is reached. Default: tls. Tcp and udp are listed by `show exceptions`.
	Transport Transport `yaml:"transport" json:"transport,omitempty"`
	// X.509 subject common names or subject alternative names, one of which its certificate must carry. Left out: the address.
	AcceptedSubjects []string `yaml:"acceptedSubjects" json:"acceptedSubjects,omitempty"`
	// Let its media be plain RTP where it offers nothing better; listed by `show exceptions`. Left out: SRTP or no call.
	RTPAllowed bool `yaml:"rtpAllowed" json:"rtpAllowed,omitempty"`
}

// VoiceApplication ties a number to a document.
type VoiceApplication struct {
	// Pattern of the number: 0-9, A-D, *, #, + and X for any digit; ! at the end for any further ones.
	Pattern string `yaml:"pattern" json:"pattern"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// URL of its first document, of an origin.
	URL string `yaml:"url" json:"url"`
}

// VoiceOrigin is scheme, host and port of a server whose documents may be run.
type VoiceOrigin struct {
	// https://host or https://host:port. The server sees our client certificate. http is listed by `show exceptions`.
	URL string `yaml:"url" json:"url"`
	// X.509 subject common names or subject alternative names, one of which its certificate must carry. Left out: the host of the URL.
	AcceptedSubjects []string `yaml:"acceptedSubjects" json:"acceptedSubjects,omitempty"`
	// Versions of TLS spoken with it.
	TLS TLSVersions `yaml:"tls" json:"tls,omitempty"`
}

// Speech is text to speech.
type Speech struct {
	// Auto: espeak-ng, else flite, where the machine has one. None: ready-made prompts alone. Command: the one below.
	Engine SpeechEngine `yaml:"engine" json:"engine,omitempty"`
	// Command that reads text from standard input and writes a WAV file to standard output; {language} and {voice} are replaced.
	Command []string `yaml:"command" json:"command,omitempty"`
	// Voice by the engine's name. Left out: by the language.
	Voice string `yaml:"voice" json:"voice,omitempty"`
	// Language of texts that say none. Default: en-US.
	Language string `yaml:"language" json:"language,omitempty"`
	// How long one text may take, 1s to 1m. Default: 10s.
	Timeout Duration `yaml:"timeout" json:"timeout,omitempty"`
	// Sound kept on the disk, MiB, 1 to 10240. Default: 256.
	CacheMiB int `yaml:"cacheMiB" json:"cacheMiB,omitempty"`
}

// SpeechEngine says what speaks.
type SpeechEngine uint8

// Values of SpeechEngine; the first is the default.
const (
	SpeechAuto SpeechEngine = iota
	SpeechNone
	SpeechESpeak
	SpeechFlite
	SpeechCommand
)

// Values lists the spellings of SpeechEngine.
func (SpeechEngine) Values() []string {
	return []string{"auto", "none", "espeak-ng", "flite", "command"}
}

func (s SpeechEngine) String() string { return enumString(s, s.Values()) }

// MarshalText writes the value as a site file spells it.
func (s SpeechEngine) MarshalText() ([]byte, error) { return enumText(s, s.Values()) }

// UnmarshalText reads one of Values.
func (s *SpeechEngine) UnmarshalText(b []byte) error { return enumParse(s, s.Values(), b) }

// Kind implements Entity.
func (VoiceBrowser) Kind() Kind { return KindVoiceBrowser }

// Key is the name.
func (v VoiceBrowser) Key() string { return v.Name }

// WithDefaults returns the settings with every default filled in.
func (v VoiceBrowser) WithDefaults() VoiceBrowser {
	v.Peers = slices.Clone(v.Peers)
	for i := range v.Peers {
		p := &v.Peers[i]
		if p.Transport == TransportDefault {
			p.Transport = TransportTLS
		}
		if p.Port == 0 {
			p.Port = map[bool]int{true: 5061, false: 5060}[p.Transport == TransportTLS]
		}
		if len(p.AcceptedSubjects) == 0 && p.Address != "" && p.Transport == TransportTLS {
			p.AcceptedSubjects = []string{p.Address}
		}
	}
	v.Sessions, v.Spares, v.SessionMemory = cmp.Or(v.Sessions, 200), cmp.Or(v.Spares, 4), cmp.Or(v.SessionMemory, 96)
	v.MaxDuration, v.FetchTimeout = cmp.Or(v.MaxDuration, Duration(24*time.Hour)), cmp.Or(v.FetchTimeout, Duration(10*time.Second))
	s := &v.Speech
	s.Language, s.Timeout, s.CacheMiB = cmp.Or(s.Language, "en-US"), cmp.Or(s.Timeout, Duration(10*time.Second)), cmp.Or(s.CacheMiB, 256)
	return v
}

// VoiceBrowserOf are the settings of a node, with every default filled in.
func (s *Site) VoiceBrowserOf(node string) VoiceBrowser {
	var v VoiceBrowser
	for _, e := range s.VoiceBrowsers {
		if e.Name == node || e.Name == "default" && v.Name != node {
			v = e
		}
	}
	return v.WithDefaults()
}

func (c *checker) voiceBrowsers() {
	eachOf(c, "voiceBrowsers", c.site.VoiceBrowsers, VoiceBrowser.Key, func(path string, v VoiceBrowser) {
		if !c.has[KindNode][v.Name] && v.Name != "default" {
			c.at(path+".name", fmt.Sprintf("there is no node %q", v.Name), "expected default, or the name of a node")
		}
		c.voicePeers(path, v)
		origins := c.voiceOrigins(path, v)
		c.voiceApplications(path, v, origins)
		c.speech(path+".speech", v.Speech)
		c.within(path+".sessions", v.Sessions, 1, 5000)
		c.within(path+".spares", v.Spares, 1, 200)
		c.within(path+".sessionMemory", v.SessionMemory, 66, 1024)
		c.between(path+".maxDuration", v.MaxDuration, time.Minute, 48*time.Hour)
		c.between(path+".fetchTimeout", v.FetchTimeout, time.Second, 2*time.Minute)
	})
}

func (c *checker) voicePeers(path string, v VoiceBrowser) {
	names, reached := map[string]bool{}, map[string]bool{}
	for i, p := range v.Peers {
		sub := fmt.Sprintf("%s.peers[%d]", path, i)
		c.name(sub+".name", p.Name)
		if names[p.Name] {
			c.at(sub+".name", fmt.Sprintf("a second peer %q", p.Name), "expected each only once; remove or rename one")
		}
		names[p.Name], reached[p.Name] = true, p.Address != ""
		c.address(sub+".address", p.Address, false)
		if p.Port != 0 {
			c.port(sub+".port", p.Port)
		}
		if p.Transport == TransportTCPUDP {
			c.at(sub+".transport", "tcp+udp is no one transport", "expected tls, tcp or udp")
		}
		tls := p.Transport == TransportDefault || p.Transport == TransportTLS
		switch {
		case tls && p.Address == "" && len(p.AcceptedSubjects) == 0:
			c.at(sub+".acceptedSubjects", "nobody is let in", "expected the subjects of its certificate, or its address")
		case !tls && p.Address == "":
			c.at(sub+".address", "without TLS a peer is known by its address alone", "expected an IP address")
		case !tls && len(p.AcceptedSubjects) > 0:
			c.at(sub+".acceptedSubjects", "without TLS nobody shows a certificate", "expected transport: tls, or no subjects")
		}
	}
	if p := v.TransferPeer; p != "" && !reached[p] {
		c.at(path+".transferPeer", fmt.Sprintf("%q is no peer with an address", p), "expected the name of one")
	}
}

// voiceOrigins are the origins that are well-formed, as scheme://host:port.
func (c *checker) voiceOrigins(path string, v VoiceBrowser) map[string]bool {
	all := map[string]bool{}
	for i, o := range v.Origins {
		sub := fmt.Sprintf("%s.origins[%d]", path, i)
		key, u := VoiceOriginOf(o.URL)
		switch {
		case key == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			c.at(sub+".url", fmt.Sprintf("%q is no origin", shownURL(o.URL)), "expected https://host or https://host:port")
		case all[key]:
			c.at(sub+".url", key+" stands twice in the list", "remove one")
		case u.Scheme == "http" && len(o.AcceptedSubjects) > 0:
			c.at(sub+".acceptedSubjects", "without TLS nobody shows a certificate", "expected https, or no subjects")
		}
		all[key] = true
	}
	return all
}

// VoiceOriginOf is scheme://host:port of an http or https URL; empty where it is none.
func VoiceOriginOf(raw string) (string, *url.URL) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return "", u
	}
	port := cmp.Or(u.Port(), map[bool]string{true: "443", false: "80"}[u.Scheme == "https"])
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port, u
}

// shownURL is a URL without its password.
func shownURL(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return raw
}

// voicePattern is a pattern of numbers that applications answer.
var voicePattern = regexp.MustCompile(`^\+?[0-9A-DX*#]*!?$`)

func (c *checker) voiceApplications(path string, v VoiceBrowser, origins map[string]bool) {
	seen := map[string]bool{}
	for i, a := range v.Applications {
		sub := fmt.Sprintf("%s.applications[%d]", path, i)
		switch {
		case a.Pattern == "" || !voicePattern.MatchString(a.Pattern):
			c.at(sub+".pattern", fmt.Sprintf("%q is no pattern of numbers", a.Pattern), "expected for instance 5000, 51XX, 9!")
		case seen[a.Pattern]:
			c.at(sub+".pattern", a.Pattern+" stands twice in the list", "remove one")
		}
		seen[a.Pattern] = true
		if key, _ := VoiceOriginOf(a.URL); key == "" || !origins[key] {
			c.at(sub+".url", fmt.Sprintf("%q is of none of the origins", shownURL(a.URL)), "expected a URL of one of them, or add its origin")
		}
	}
}

func (c *checker) speech(path string, s Speech) {
	if (s.Engine == SpeechCommand) != (len(s.Command) > 0) {
		c.at(path+".command", "engine: command and a command belong together", "expected both or neither")
	}
	c.between(path+".timeout", s.Timeout, time.Second, time.Minute)
	c.within(path+".cacheMiB", s.CacheMiB, 1, 10240)
}
