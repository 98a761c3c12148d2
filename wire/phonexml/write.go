package phonexml

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// writer writes elements, one a line.
type writer struct {
	b     bytes.Buffer
	depth int
	err   error
}

func newWriter() *writer {
	w := &writer{}
	w.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	return w
}

func (w *writer) indent() {
	for range w.depth {
		w.b.WriteString("  ")
	}
}

// attr is an attribute of an opening tag.
type attr struct {
	name  string
	value int
}

func (w *writer) tag(name string, attrs ...attr) {
	if !validName(name) && w.err == nil {
		w.err = fmt.Errorf("%q cannot be the name of an element: letters, digits, dot, hyphen and underscore, a letter first", name)
	}
	w.indent()
	w.b.WriteString("<" + name)
	for _, a := range attrs {
		fmt.Fprintf(&w.b, ` %s="%d"`, a.name, a.value)
	}
	w.b.WriteByte('>')
}

// in writes a container.
func (w *writer) in(name string, content func(), attrs ...attr) {
	w.tag(name, attrs...)
	w.b.WriteByte('\n')
	w.depth++
	content()
	w.depth--
	w.indent()
	w.b.WriteString("</" + name + ">\n")
}

// leaf writes an element with text, also when the text is empty.
func (w *writer) leaf(name, text string, attrs ...attr) {
	w.tag(name, attrs...)
	xml.EscapeText(&w.b, []byte(text)) // a buffer never fails
	w.b.WriteString("</" + name + ">\n")
}

// text writes an element where there is a text.
func (w *writer) text(name, text string) {
	if text != "" {
		w.leaf(name, text)
	}
}

func (w *writer) number(name string, n int) {
	if n != 0 {
		w.leaf(name, strconv.Itoa(n))
	}
}

func (w *writer) bool(name string, v bool) { w.leaf(name, strconv.FormatBool(v)) }

func (w *writer) settings(s Settings) {
	for _, x := range s {
		w.leaf(x.Name, x.Value)
	}
}

func (w *writer) group(name string, s Settings) {
	if len(s) > 0 {
		w.in(name, func() { w.settings(s) })
	}
}

// validName accepts the names phones use. RFC-free: XML allows more, no phone does.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

const maxName = 128

// Marshal writes a configuration file, or its short companion when FullConfig is false. It refuses what no phone could use: lists
// over MaxServers, hosts over MaxHost, names that are no element's, text that is not UTF-8.
func Marshal(d *Device) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	w := newWriter()
	w.in("device", func() {
		w.bool("fullConfig", d.FullConfig)
		w.text("deviceProtocol", d.DeviceProtocol)
		w.leaf("ipAddressMode", strconv.Itoa(int(d.Family)))
		if d.FullConfig {
			w.full(d)
		}
		w.leaf("loadInformation", d.Load)
		if d.FullConfig {
			w.group("vendorConfig", d.Vendor)
			w.text("versionStamp", d.Version)
			w.number("deviceSecurityMode", int(d.SecurityMode))
			w.number("transportLayerProtocol", int(d.Transport))
		}
		w.leaf("capfAuthMode", strconv.Itoa(int(d.CAPFAuthMode)))
		w.in("capfList", func() {
			for _, s := range d.CAPF {
				w.in("capf", func() { w.number("phonePort", s.Port); w.leaf("processNodeName", s.Host) })
			}
		})
		w.leaf("certHash", d.CertHash)
		w.bool("encrConfig", d.EncryptedConfig)
		w.text("ownerId", d.OwnerID)
		w.settings(d.More)
	})
	return w.b.Bytes(), w.err
}

// full writes what a short companion leaves out.
func (w *writer) full(d *Device) {
	w.leaf("ipPreferenceModeControl", preference(d.Family))
	w.leaf("ipMediaAddressFamilyPreference", preference(d.Family))
	w.pool(d)
	w.servers("TVS", "port", "address", d.TVS)
	if d.SIP != nil {
		w.sip(d.SIP)
	}
	if len(d.Lines) > 0 {
		w.in("lines", func() {
			for _, l := range d.Lines {
				w.line(l)
			}
		})
	}
	w.text("MissedCallLoggingOption", d.MissedCalls)
	w.group("commonProfile", d.Common)
}

// preference prefers IPv4 where there are both.
func preference(f Family) string {
	if f == IPv6 {
		return "1"
	}
	return "0"
}

func (w *writer) pool(d *Device) {
	p := &d.Pool
	w.in("devicePool", func() {
		w.in("dateTimeSetting", func() {
			w.text("dateTemplate", p.DateTemplate)
			w.text("timeZone", p.TimeZone)
			if len(p.NTP) > 0 {
				w.in("ntps", func() {
					for _, n := range p.NTP {
						w.in("ntp", func() { w.leaf("name", n.Name); w.text("ntpMode", n.Mode) })
					}
				})
			}
		})
		w.callManagers(p.GroupName, p.Members)
	})
}

func (w *writer) callManagers(group string, members []Member) {
	w.in("callManagerGroup", func() {
		w.text("name", group)
		w.in("members", func() {
			for i, m := range members {
				w.in("member", func() {
					w.in("callManager", func() {
						w.in("ports", func() {
							w.number("ethernetPhonePort", m.SCCPPort)
							w.number("sipPort", m.SIPPort)
							w.number("securedSipPort", m.SecureSIPPort)
							w.number("securedEthernetPhonePort", m.SecureSCCPPort)
						})
						w.leaf("processNodeName", m.Host)
					})
				}, attr{"priority", i})
			}
		})
	})
}

func (w *writer) servers(name, port, address string, list []Server) {
	if len(list) == 0 {
		return
	}
	w.in(name, func() {
		w.in("members", func() {
			for i, s := range list {
				w.in("member", func() { w.number(port, s.Port); w.leaf(address, s.Host) }, attr{"priority", i})
			}
		})
	})
}

func (w *writer) sip(s *SIP) {
	w.in("sipProfile", func() {
		w.group("sipProxies", s.Proxies)
		w.group("sipCallFeatures", s.CallFeatures)
		w.group("sipStack", s.Stack)
		w.settings(s.Settings)
		w.text("phoneLabel", s.PhoneLabel)
		w.number("voipControlPort", s.VoIPControlPort)
		w.in("sipLines", func() {
			for _, l := range s.Lines {
				w.line(l)
			}
		})
	})
}

func (w *writer) line(l Line) {
	attrs := []attr{{"button", l.Button}}
	if l.Index != 0 {
		attrs = append(attrs, attr{"lineIndex", l.Index})
	}
	w.in("line", func() {
		w.number("featureID", l.Feature)
		w.text("featureLabel", l.Label)
		w.text("proxy", l.Proxy)
		w.number("port", l.Port)
		w.text("name", l.Name)
		w.text("displayName", l.DisplayName)
		w.group("autoAnswer", l.AutoAnswer)
		w.text("callWaiting", l.CallWaiting)
		w.text("authName", l.AuthName)
		w.text("contact", l.Contact)
		if l.Contact != "" || l.Shared {
			w.bool("sharedLine", l.Shared)
		}
		w.group("forwardCallInfoDisplay", l.ForwardInfo)
		w.number("maxNumCalls", l.MaxCalls)
		w.number("busyTrigger", l.BusyTrigger)
		w.settings(l.Settings)
	}, attrs...)
}

func (d *Device) check() error {
	servers := [][]Server{d.TVS, d.CAPF}
	for i, what := range []string{"TVS servers", "CAPF servers"} {
		if n := len(servers[i]); n > MaxServers {
			return fmt.Errorf("%d %s: a phone takes %d", n, what, MaxServers)
		}
		for _, s := range servers[i] {
			if err := checkHost(s.Host); err != nil {
				return err
			}
		}
	}
	return checkMembers(d.Pool.Members)
}

func checkMembers(members []Member) error {
	if n := len(members); n > MaxServers {
		return fmt.Errorf("%d call managers: a phone takes %d", n, MaxServers)
	}
	for _, m := range members {
		if err := checkHost(m.Host); err != nil {
			return err
		}
	}
	return nil
}

func checkHost(host string) error {
	if n := utf8.RuneCountInString(host); n > MaxHost {
		return fmt.Errorf("host %q has %d characters: a phone takes %d; give the node's address in place of its name", host, n, MaxHost)
	}
	return nil
}

// Default is XMLDefault.cnf.xml: what a phone gets for which there is no file.
type Default struct {
	GroupName string
	Members   []Member // by priority, at most MaxServers
	Loads     []ModelLoad
}

// ModelLoad names the firmware of one model.
type ModelLoad struct {
	Type  int    // device type number, as in the element's name: loadInformation30018
	Model string // Cisco 7961
	Load  string
}

// MarshalDefault writes XMLDefault.cnf.xml.
func MarshalDefault(d *Default) ([]byte, error) {
	if err := checkMembers(d.Members); err != nil {
		return nil, err
	}
	w := newWriter()
	w.in("Default", func() {
		w.callManagers(d.GroupName, d.Members)
		for _, l := range d.Loads {
			w.indent()
			fmt.Fprintf(&w.b, `<loadInformation%d model="`, l.Type)
			xml.EscapeText(&w.b, []byte(l.Model))
			w.b.WriteString(`">`)
			xml.EscapeText(&w.b, []byte(l.Load))
			fmt.Fprintf(&w.b, "</loadInformation%d>\n", l.Type)
		}
	})
	return w.b.Bytes(), w.err
}
