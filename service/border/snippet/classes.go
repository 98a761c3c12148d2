package snippet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
)

// classes are what dial-peers refer to by number, as far as the text has them.
type classes struct {
	uris       map[string]*config.URIMatch
	servers    map[string]*serverGroup
	groups     map[string][]config.DialPeerChoice
	maps       map[string][]string
	keepalives map[string]*config.OptionsPing
	tls        map[string]*tlsProfile
	rules      map[string][]config.TranslationRule
	profiles   map[string]*translation
}

type serverGroup struct {
	targets []config.SessionTarget
	turns   bool
}

type tlsProfile struct {
	trustpoint string
	names      []string
}

// translation is a voice translation-profile: the numbers of its rules.
type translation struct{ called, calling string }

func newClasses() classes {
	return classes{uris: map[string]*config.URIMatch{}, servers: map[string]*serverGroup{}, groups: map[string][]config.DialPeerChoice{}, maps: map[string][]string{},
		keepalives: map[string]*config.OptionsPing{}, tls: map[string]*tlsProfile{}, rules: map[string][]config.TranslationRule{}, profiles: map[string]*translation{}}
}

// class opens the mode of a class.
func (r *reader) class(m mode, word string) outcome {
	if _, err := name(word); err != nil {
		r.mode = modeOther
		return bad("%v", err)
	}
	r.mode, r.arg = m, word
	return did("%s %s", m, word)
}

func (r *reader) openCodec(args []string) outcome {
	out := r.class(modeCodec, args[0])
	if out.verdict == Understood {
		set(&r.site.CodecLists, config.CodecList{Name: args[0]})
		out.says = "the codec list " + args[0] + ", from its beginning"
	}
	return out
}

func (r *reader) codecPreference(args []string) outcome {
	if _, err := number(args[0], 1, 24); err != nil {
		return bad("%v", err)
	}
	c, err := codec(args[1])
	if err != nil {
		return bad("%v", err)
	}
	l, _ := get(r.site.CodecLists, r.arg)
	if slices.Contains(l.Codecs, c) {
		return skip("%s is in the list already", c)
	}
	l.Codecs = append(slices.Clone(l.Codecs), c)
	set(&r.site.CodecLists, l)
	return did("%s, as number %d", c, len(l.Codecs))
}

func (r *reader) openURI(args []string) outcome {
	r.classes.uris[args[0]] = &config.URIMatch{}
	return r.class(modeURI, args[0])
}

func (r *reader) uriHost(args []string) outcome {
	host := args[0]
	if kind, _, ok := strings.Cut(args[0], ":"); ok && (kind == "ipv4" || kind == "ipv6" || kind == "dns") {
		t, err := target(args[0])
		if err != nil || t.Port != 0 {
			return bad("expected host ipv4:ADDRESS or dns:NAME")
		}
		host = t.Address
	}
	u := r.classes.uris[r.arg]
	u.Hosts = append(u.Hosts, host)
	return did("the host %s", host)
}

func (r *reader) uriUser(args []string) outcome { return r.uriExpression("the user part", args[0]) }

func (r *reader) uriPattern(args []string) outcome { return r.uriExpression("the URI", args[0]) }

func (r *reader) uriExpression(what, text string) outcome {
	if _, err := regexp.Compile(text); err != nil || len(text) > 512 {
		return bad("%q is no expression", text)
	}
	if u := r.classes.uris[r.arg]; what == "the URI" {
		u.Pattern = text
	} else {
		u.User = text
	}
	return did("%s matches %s", what, text)
}

func (r *reader) openServers(args []string) outcome {
	r.classes.servers[args[0]] = &serverGroup{}
	return r.class(modeServers, args[0])
}

// server is ipv4 A [port P] [preference N].
func (r *reader) server(args []string) outcome {
	return r.addServer(args[0]+":"+bracket(args[0], args[1]), args[2:])
}

func bracket(kind, a string) string {
	if kind == "ipv6" {
		return "[" + strings.Trim(a, "[]") + "]"
	}
	return a
}

func (r *reader) serverName(args []string) outcome { return r.addServer("dns:"+args[0], args[1:]) }

func (r *reader) addServer(word string, more []string) outcome {
	t, err := target(word)
	if err != nil {
		return bad("%v", err)
	}
	for i := 0; i < len(more); i += 2 {
		if i+1 == len(more) {
			return bad("%q has no value", more[i])
		}
		switch {
		case keyword(more[i], "port"):
			t.Port, err = number(more[i+1], 1, 65535)
		case keyword(more[i], "preference"):
			t.Preference, err = number(more[i+1], 0, 10)
		default:
			err = fmt.Errorf("%q is not known behind a server: port and preference are", more[i])
		}
		if err != nil {
			return bad("%v", err)
		}
	}
	g := r.classes.servers[r.arg]
	g.targets = append(g.targets, t)
	return did("the target %s", describe(t))
}

func describe(t config.SessionTarget) string {
	s := t.Address
	if t.Port != 0 {
		s = fmt.Sprintf("%s port %d", s, t.Port)
	}
	if t.Preference != 0 {
		s += fmt.Sprintf(", preference %d", t.Preference)
	}
	return s
}

func (r *reader) huntScheme(args []string) outcome {
	r.classes.servers[r.arg].turns = args[0] == "round-robin"
	if args[0] == "round-robin" {
		return did("targets take turns")
	}
	return did("targets are tried by preference")
}

// expanded are the targets of a group, with equal weights where they take turns.
func (g *serverGroup) expanded() []config.SessionTarget {
	out := slices.Clone(g.targets)
	for i := range out {
		if g.turns {
			out[i].Preference, out[i].Weight = 0, 1
		}
	}
	return out
}

func (r *reader) openGroup(args []string) outcome {
	r.classes.groups[args[0]] = nil
	return r.class(modeGroup, args[0])
}

func (r *reader) groupPeer(args []string) outcome {
	tag, err := number(args[0], 1, 1<<31-1)
	c := config.DialPeerChoice{Tag: tag}
	if err == nil && len(args) > 1 {
		if len(args) != 3 || !keyword(args[1], "preference") {
			return bad("expected dial-peer TAG preference N")
		}
		c.Preference, err = number(args[2], 0, 10)
	}
	if err != nil {
		return bad("%v", err)
	}
	r.classes.groups[r.arg] = append(r.classes.groups[r.arg], c)
	return did("dial-peer %d, preference %d", c.Tag, c.Preference)
}

func (r *reader) openMap(args []string) outcome {
	r.classes.maps[args[0]] = nil
	return r.class(modeMap, args[0])
}

func (r *reader) mapPattern(args []string) outcome {
	p, err := pattern(args[0])
	if err != nil {
		return bad("%v", err)
	}
	r.classes.maps[r.arg] = append(r.classes.maps[r.arg], p)
	return did("the pattern %s", p)
}

func (r *reader) openKeepalive(args []string) outcome {
	r.classes.keepalives[args[0]] = &config.OptionsPing{IntervalInService: config.Duration(time.Minute), IntervalOutOfService: config.Duration(30 * time.Second), Retries: 5}
	return r.class(modeKeepalive, args[0])
}

// keepalive sets a value of an OPTIONS keep-alive: interval while up, while down, retries.
func keepalive(which int) func(*reader, []string) outcome {
	return func(r *reader, args []string) outcome {
		return setKeepalive(r.classes.keepalives[r.arg], which, args[0])
	}
}

func setKeepalive(p *config.OptionsPing, which int, word string) outcome {
	if which == 2 {
		n, err := number(word, 1, 20)
		if err != nil {
			return bad("%v", err)
		}
		p.Retries = n
		return did("out of service after %d OPTIONS without an answer", n)
	}
	n, err := number(word, 5, 1200)
	if err != nil {
		return bad("%v seconds", err)
	}
	d := config.Duration(time.Duration(n) * time.Second)
	if which == 0 {
		p.IntervalInService = d
		return did("OPTIONS every %d s while it answers", n)
	}
	p.IntervalOutOfService = d
	return did("OPTIONS every %d s while it does not", n)
}

func (r *reader) openTLSProfile(args []string) outcome {
	r.classes.tls[args[0]] = &tlsProfile{}
	return r.class(modeTLSProfile, args[0])
}

func (r *reader) profileTrustpoint(args []string) outcome {
	t, err := r.trustpoint(args[0])
	if err != nil {
		return bad("%v", err)
	}
	r.classes.tls[r.arg].trustpoint = t.Name
	return did("the trustpoint %s", t.Name)
}

func (r *reader) profileName(args []string) outcome {
	if _, err := number(args[0], 1, 100); err != nil {
		return bad("%v", err)
	}
	if strings.Contains(args[1], "*") {
		return bad("names with a wildcard are not accepted: expected the whole name of the certificate")
	}
	p := r.classes.tls[r.arg]
	p.names = append(p.names, args[1])
	return did("the peer's certificate carries %s", args[1])
}

func (r *reader) openRule(args []string) outcome {
	r.classes.rules[args[0]] = nil
	return r.class(modeRule, args[0])
}

var slashes = regexp.MustCompile(`^/((?:[^/\\]|\\.)*)/\s+/((?:[^/\\]|\\.)*)/$`)

// translationRule is rule N /match/ /replace/.
func (r *reader) translationRule(args []string) outcome {
	if _, err := number(args[0], 1, 100); err != nil {
		return bad("%v", err)
	}
	text := strings.Join(args[1:], " ")
	if len(args) > 1 && keyword(args[1], "reject") {
		return bad("calls cannot be refused by a translation: leave the number out of every destination-pattern")
	}
	m := slashes.FindStringSubmatch(text)
	if m == nil {
		return bad("expected rule %s /what matches/ /what replaces it/", args[0])
	}
	rule := config.TranslationRule{Match: expression(m[1]), Replace: strings.ReplaceAll(m[2], `\/`, "/")}
	probe := &config.Site{NumberTranslations: []config.NumberTranslation{{Name: "x", Called: []config.TranslationRule{rule}}}}
	if err := probe.Check(); err != nil {
		return bad("%s", sentence(err))
	}
	r.classes.rules[r.arg] = append(r.classes.rules[r.arg], rule)
	return did("what matches %s becomes %s", rule.Match, orNothing(rule.Replace))
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// sentence is the first mistake of a site, without where it stands.
func sentence(err error) string {
	if all, ok := err.(config.Errors); ok && len(all) > 0 {
		return all[0].Problem + "; " + all[0].Expected
	}
	return err.Error()
}

func (r *reader) openTranslation(args []string) outcome {
	r.classes.profiles[args[0]] = &translation{}
	out := r.class(modeTranslation, args[0])
	if out.verdict != Understood {
		return out
	}
	r.later = append(r.later, func() { r.makeTranslation(args[0]) })
	return out
}

func (r *reader) translate(args []string) outcome {
	p := r.classes.profiles[r.arg]
	if args[0] == "called" {
		p.called = args[1]
	} else {
		p.calling = args[1]
	}
	return r.refer(func() outcome {
		rules, ok := r.classes.rules[args[1]]
		if !ok || len(rules) == 0 {
			return bad("there is no voice translation-rule %s with rules in the text", args[1])
		}
		return did("%s numbers by translation-rule %s (%d rules)", args[0], args[1], len(rules))
	})
}

// makeTranslation puts a profile into the site.
func (r *reader) makeTranslation(key string) {
	p := r.classes.profiles[key]
	t := config.NumberTranslation{Name: key, Called: r.classes.rules[p.called], Calling: r.classes.rules[p.calling]}
	if len(t.Called)+len(t.Calling) > 0 {
		set(&r.site.NumberTranslations, t)
	}
}

func (r *reader) openTrustpoint(args []string) outcome {
	t, err := r.trustpoint(args[0])
	if err != nil {
		r.mode = modeOther
		return bad("%v", err)
	}
	r.mode, r.arg = modeTrustpoint, t.Name
	return did("the trustpoint %s; its certificates: upload them with locktone cert", t.Name)
}
