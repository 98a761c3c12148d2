package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker looks at a whole site. It reports through at, with paths as the
// decoder spells them, and goes on after a mistake.
type checker struct {
	site  *Site
	at    func(path, problem, expected string)
	names map[Kind][]string        // keys by kind, in file order
	has   map[Kind]map[string]bool // the same as sets
}

func (c *checker) check() {
	c.names, c.has = map[Kind][]string{}, map[Kind]map[string]bool{}
	for _, e := range c.site.Entities() {
		k := e.Kind()
		c.names[k] = append(c.names[k], e.Key())
		if c.has[k] == nil {
			c.has[k] = map[string]bool{}
		}
		c.has[k][e.Key()] = true
	}
	c.cluster()
	c.nodes()
	c.pools()
	c.phoneProfiles()
	c.sipProfiles()
	c.trunkProfiles()
	c.trunks()
	c.partitions()
	c.schedules()
	c.lines()
	c.devices()
	c.credentialPolicies()
	c.users()
	c.ldapDirectories()
	c.patterns()
	c.transformations()
	c.forwardsToEmergency()
	c.routes()
	c.applets()
	c.borders()
	c.callServers()
	c.voiceBrowsers()
	c.contactCenter()
}

// eachOf walks a list and checks what every entity needs: a name in shape, and unique.
func eachOf[E Entity](c *checker, list string, all []E, name func(E) string, f func(path string, e E)) {
	first := map[string]string{}
	for i, e := range all {
		path := list + "[" + strconv.Itoa(i) + "]"
		c.name(path+".name", name(e))
		c.unique(first, path, e)
		f(path, e)
	}
}

func (c *checker) unique(first map[string]string, path string, e Entity) {
	key := strings.TrimSuffix(e.Key(), "/")
	if key == "" {
		return
	}
	if _, dup := first[key]; dup {
		c.at(path, fmt.Sprintf("a second %s %q", spoken(e.Kind()), key), "expected each only once; remove or rename one")
	}
	first[key] = path
}

func spoken(k Kind) string {
	return strings.NewReplacer("-", " ", "sip", "SIP", "ldap", "LDAP").Replace(string(k))
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$`)

func (c *checker) name(path, name string) {
	switch {
	case name == "":
		c.at(path, "is missing", "expected a name")
	case !nameShape.MatchString(name) || strings.HasSuffix(name, " "):
		c.at(path, fmt.Sprintf("%q is no name", name), "expected up to 64 letters, digits, blanks and . _ @ -, the first a letter or digit")
	}
}

// ref checks that a name refers to something.
func (c *checker) ref(path string, k Kind, name string, required bool) {
	switch {
	case name == "" && required:
		c.at(path, "is missing", "expected the name of a "+spoken(k)+c.known(k))
	case name != "" && !c.has[k][name]:
		if near := nearest(name, c.names[k]); near != "" {
			c.at(path, fmt.Sprintf("there is no %s %q", spoken(k), name), "did you mean "+strconv.Quote(near)+"?")
			return
		}
		c.at(path, fmt.Sprintf("there is no %s %q", spoken(k), name), "expected the name of a "+spoken(k)+c.known(k))
	}
}

func (c *checker) known(k Kind) string {
	if len(c.names[k]) == 0 {
		return "; the file has none"
	}
	return ": " + listOf(c.names[k])
}

// refs checks a list of names: each refers to something and stands once.
func (c *checker) refs(path string, k Kind, names []string, required bool) {
	if len(names) == 0 && required {
		c.at(path, "is empty", "expected at least one "+spoken(k)+c.known(k))
	}
	for i, n := range names {
		sub := fmt.Sprintf("%s[%d]", path, i)
		c.ref(sub, k, n, true)
		if slices.Contains(names[:i], n) {
			c.at(sub, fmt.Sprintf("%q stands twice in the list", n), "remove one")
		}
	}
}

func (c *checker) within(path string, v, low, high int) {
	if v != 0 && (v < low || v > high) {
		c.at(path, fmt.Sprintf("%d is out of range", v), fmt.Sprintf("expected %d to %d", low, high))
	}
}

func (c *checker) between(path string, v Duration, low, high time.Duration) {
	if v != 0 && (v.D() < low || v.D() > high) {
		c.at(path, fmt.Sprintf("%s is out of range", v), fmt.Sprintf("expected %s to %s", low, high))
	}
}

func (c *checker) oneOf(path string, v int, allowed ...int) {
	if v != 0 && !slices.Contains(allowed, v) {
		text := make([]string, len(allowed))
		for i, a := range allowed {
			text[i] = strconv.Itoa(a)
		}
		c.at(path, fmt.Sprintf("%d is not offered", v), "expected one of "+listOf(text))
	}
}

func (c *checker) port(path string, v int) { c.within(path, v, 1, 65535) }

var hostShape = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func isHost(s string) bool { return len(s) <= 253 && hostShape.MatchString(s) && !looksLikeIPv4(s) }

// looksLikeIPv4 tells 10.0.0.256, a slip, from a host name.
func looksLikeIPv4(s string) bool { return strings.Trim(s, "0123456789.") == "" }

func (c *checker) address(path, v string, required bool) {
	if v == "" {
		if required {
			c.at(path, "is missing", "expected an IP address or a host name")
		}
		return
	}
	if _, err := netip.ParseAddr(v); err != nil && !isHost(v) {
		c.at(path, fmt.Sprintf("%q is neither an IP address nor a host name", v), "expected for instance 10.1.2.3, 2001:db8::1 or sip.example.com; the port has a field of its own")
	}
}

func (c *checker) domain(path, v string) {
	if v != "" && !isHost(v) {
		c.at(path, fmt.Sprintf("%q is not a DNS name", v), "expected for instance example.com")
	}
}

// numberShape: RFC 3966's global numbers as the field writes them, and local
// ones with * and #. Longer than any national plan, short enough for a screen.
var numberShape = regexp.MustCompile(`^(\\?\+)?[0-9*#]{1,32}$`)

func (c *checker) number(path, v string) {
	switch {
	case v == "":
		c.at(path, "is missing", "expected the digits people dial")
	case !numberShape.MatchString(v):
		c.at(path, fmt.Sprintf("%q is not a number", v), `expected up to 32 of 0-9, * and #, or \+ and digits`)
	}
}

var patternShape = regexp.MustCompile(`^(\\\+|[0-9A-DX*#!]|\[\^?[0-9*#-]+\])+$`)

func (c *checker) pattern(path, v string) {
	switch flat := strings.Replace(v, ".", "", 1); {
	case v == "":
		c.at(path, "is missing", `expected a pattern such as 9.[2-9]XXX or \+!`)
	case strings.Count(v, ".") > 1:
		c.at(path, fmt.Sprintf("%q has more than one dot", v), "expected at most one, where digits are cut")
	case strings.HasPrefix(v, "+"):
		c.at(path, fmt.Sprintf("%q begins with a bare +", v), `expected \+, which stands for the plus sign`)
	case strings.ContainsAny(v, "xz"):
		c.at(path, fmt.Sprintf("%q has a small letter", v), "expected X in capitals for one digit")
	case strings.Contains(v, "@"):
		c.at(path, "the wildcard @ is not offered", "spell out the numbers of your numbering plan, for instance 0.[1-9]X!")
	case !patternShape.MatchString(flat):
		c.at(path, fmt.Sprintf("%q is not a pattern", v), `expected 0-9, *, #, X, sets as [2-9] or [^2-9], ! and one dot; \+ for the plus sign`)
	case strings.Count(v, "!") > 1 || strings.Contains(v, "!") && strings.TrimSuffix(v[strings.Index(v, "!")+1:], "#") != "":
		c.at(path, fmt.Sprintf("%q goes on after !", v), "expected ! at the end, or followed by # alone")
	}
}

var maskShape = regexp.MustCompile(`^\+?[0-9X*#]*$`)

func (c *checker) digits(path, v string) {
	if !maskShape.MatchString(v) || len(v) > 32 {
		c.at(path, fmt.Sprintf("%q cannot stand here", v), "expected up to 32 of 0-9, * and #, a + only in front")
	}
	if strings.Contains(v, "X") {
		c.at(path, fmt.Sprintf("%q has an X", v), "expected digits; X belongs into a mask")
	}
}

func (c *checker) mask(path, v string) {
	if !maskShape.MatchString(v) || len(v) > 32 {
		c.at(path, fmt.Sprintf("%q is not a mask", v), "expected up to 32 of 0-9, *, # and X, a + only in front")
	}
}
