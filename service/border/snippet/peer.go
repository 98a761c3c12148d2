package snippet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/config"
)

func (r *reader) openPeer(args []string) outcome {
	tag, err := number(args[0], 1, 1<<31-1)
	switch {
	case err != nil:
		r.mode = modeOther
		return bad("%v", err)
	case args[1] != "voip":
		r.mode = modeOther
		return bad("dial-peers of ports are not offered: only voip")
	}
	r.mode, r.arg = modePeer, strconv.Itoa(tag)
	if p, ok := get(r.site.DialPeers, r.arg); ok {
		if p.Description != "" {
			return did("changes dial-peer %d (%s)", tag, p.Description)
		}
		return did("changes dial-peer %d", tag)
	}
	set(&r.site.DialPeers, config.DialPeer{Tag: tag})
	return did("a new dial-peer %d", tag)
}

func (r *reader) removePeer(args []string) outcome {
	r.mode = modeTop
	at := slices.IndexFunc(r.site.DialPeers, func(p config.DialPeer) bool { return p.Key() == args[0] })
	if at < 0 {
		return skip("there is no dial-peer %s", args[0])
	}
	r.site.DialPeers = slices.Delete(r.site.DialPeers, at, at+1)
	return did("dial-peer %s goes", args[0])
}

// peer changes the dial-peer of now.
func (r *reader) peer(change func(p *config.DialPeer)) {
	if p, ok := get(r.site.DialPeers, r.arg); ok {
		change(&p)
		set(&r.site.DialPeers, p)
	}
}

// on is a command that changes the dial-peer of now.
func on(pattern, says string, change func(p *config.DialPeer)) command {
	return cmd(pattern, func(r *reader, _ []string) outcome {
		r.peer(change)
		return did("%s", says)
	})
}

// patterns is a command whose one argument is a pattern.
func patterns(prefix, says string, field func(p *config.DialPeer) *[]string) []command {
	return []command{
		cmd(prefix+" $", func(r *reader, args []string) outcome {
			v, err := pattern(args[0])
			if err != nil {
				return bad("%v", err)
			}
			r.peer(func(p *config.DialPeer) { *field(p) = []string{v} })
			return did("%s %s", says, v)
		}),
		on("no "+prefix+" ...", "none any more", func(p *config.DialPeer) { *field(p) = nil }),
	}
}

// fromMap is a command that takes patterns from an e164-pattern-map.
func fromMap(pattern, says string, field func(p *config.DialPeer) *[]string) command {
	return cmd(pattern, func(r *reader, args []string) outcome {
		peer := r.arg
		return r.refer(func() outcome {
			m, ok := r.classes.maps[args[0]]
			if !ok || len(m) == 0 {
				return bad("there is no voice class e164-pattern-map %s with patterns in the text", args[0])
			}
			r.arg = peer
			r.peer(func(p *config.DialPeer) { *field(p) = slices.Clone(m) })
			return did("%s %s", says, strings.Join(m, ", "))
		})
	})
}

// value is a command with a number.
func value(pattern, says string, low, high int, change func(p *config.DialPeer, n int)) command {
	return cmd(pattern, func(r *reader, args []string) outcome {
		n, err := number(args[0], low, high)
		if err != nil {
			return bad("%v", err)
		}
		r.peer(func(p *config.DialPeer) { change(p, n) })
		return did(says, n)
	})
}

// peerCommands are the commands of a dial-peer.
func peerCommands() []command {
	called := func(p *config.DialPeer) *[]string { return &p.IncomingCalledNumbers }
	answer := func(p *config.DialPeer) *[]string { return &p.AnswerAddresses }
	destination := func(p *config.DialPeer) *[]string { return &p.DestinationPatterns }
	all := []command{
		cmd("description ...", (*reader).describePeer),
		fromMap("destination e164-pattern-map $", "calls go out by the called number", destination),
		fromMap("incoming called e164-pattern-map $", "calls come in by the called number", called),
		fromMap("incoming calling e164-pattern-map $", "calls come in by the calling number", answer),
		cmd("destination dpg $", (*reader).peerGroup), cmd("destination uri $", (*reader).destinationURI), cmd("incoming uri via|request|to|from $", (*reader).incomingURI),
		cmd("session protocol $", sessionProtocol), cmd("session target $", (*reader).sessionTarget), cmd("session server-group $", (*reader).sessionServers), cmd("session transport ...", (*reader).sessionTransport),
		on("no session target ...", "no target any more", func(p *config.DialPeer) { p.SessionTargets = nil }), note("no session transport ...", "the transport stays as it is"),
		cmd("codec $ ...", (*reader).peerCodec), cmd("voice-class codec $ ...", (*reader).peerCodecs), on("no codec ...", "all codecs", func(p *config.DialPeer) { p.CodecList = "" }),
		cmd("dtmf-relay ...", (*reader).dtmfRelay), note("no dtmf-relay ...", "telephone events stay on: they come first always"),
		on("srtp", "SRTP is required", func(p *config.DialPeer) { p.SRTP = config.PeerSRTPRequired }),
		on("srtp fallback", "SRTP where both can, else RTP: an exception", func(p *config.DialPeer) { p.SRTP = config.PeerSRTPFallback }),
		on("no srtp ...", "RTP: an exception", func(p *config.DialPeer) { p.SRTP = config.PeerSRTPNever }),
		cmd("srtp pass-thru", wrongf("keys are not passed through: the border ends SRTP on both sides; say srtp")),
		cmd("voice-class sip options-keepalive ...", (*reader).optionsKeepalive), on("no voice-class sip options-keepalive ...", "no OPTIONS: the peer is taken to be there", func(p *config.DialPeer) { p.OptionsKeepalive = config.OptionsPing{Disabled: true} }),
		cmd("voice-class sip profiles $ ...", (*reader).peerProfiles), on("voice-class sip early-offer forced", "every INVITE has an offer", func(p *config.DialPeer) { p.EarlyOffer = true }),
		cmd("voice-class sip rel1xx ...", (*reader).rel1xx), on("voice-class sip asserted-id pai", "P-Asserted-Identity is believed and sent", func(p *config.DialPeer) { p.AssertedIdentity = true }),
		on("voice-class sip session refresh", "a session timer", func(p *config.DialPeer) { p.SessionTimer.Disabled = false }),
		cmd("voice-class sip tenant $", wrongf("tenants are not offered: put what it says into this dial-peer")), cmd("voice-class sip localhost ...", wrongf("the host of our addresses is the same for all peers: localhost in voice service voip, sip")),
		cmd("voice-class sip tls-profile $", (*reader).peerTLSProfile), cmd("voice-class sip asserted-id ...", wrongf("only asserted-id pai is offered")),
		note("voice-class sip bind ...", whyBound), note("voice-class sip pass-thru ...", "headers and bodies are not passed from side to side"), note("voice-class sip copy-list ...", "copying between messages is not offered"),
		note("voice-class sip srtp-crypto ...", "which suites are offered is the border's affair: AES-GCM first, then AES-CM"), note("voice-class sip ...", whyDefaults), note("no voice-class sip ...", whyDefaults), note("voice-class ...", whyDefaults),
		value("preference $ ...", "preference %d", 0, 10, func(p *config.DialPeer, n int) { p.Preference = n }),
		on("huntstop", "the hunt ends here", func(p *config.DialPeer) { p.Huntstop = true }), on("no huntstop", "the hunt goes on", func(p *config.DialPeer) { p.Huntstop = false }),
		value("max-conn $", "%d calls at most", 1, 100000, func(p *config.DialPeer, n int) { p.MaxConnections = n }), on("no max-conn ...", "as many calls as come", func(p *config.DialPeer) { p.MaxConnections = 0 }),
		on("shutdown", "no calls", func(p *config.DialPeer) { p.Shutdown = true }), on("no shutdown", "in service", func(p *config.DialPeer) { p.Shutdown = false }),
		cmd("translation-profile incoming|outgoing $", (*reader).peerTranslation), cmd("translate-outgoing ...", wrongf("not offered: name a translation profile, translation-profile outgoing NAME")), cmd("prefix ...", wrongf("not offered for voip: write a voice translation-rule")),
		note("no vad", "media is never cut in silence"), note("vad ...", "silence is passed on as it comes"), note("fax ...", whyFax), note("no fax ...", whyFax), note("fax-relay ...", whyFax), note("no fax-relay ...", whyFax), note("modem ...", whyFax), note("no modem ...", whyFax),
		note("ip qos ...", whyQuality), note("req-qos ...", whyQuality), note("acc-qos ...", whyQuality), note("no digit-strip", whyAlways), note("digit-strip", "digits are not stripped for voip"), note("forward-digits ...", "all digits are sent to voip"), note("direct-inward-dial", whyAlways), note("progress_ind ...", whyDefaults),
		note("media ...", "media always goes through the border"), note("rtp ...", whyDefaults), note("signaling ...", whyDefaults), note("clid ...", "caller's numbers are changed by translation profiles"), note("redirect ...", whyDefaults), note("playout-delay ...", whyDefaults), note("max-redirects ...", whyDefaults),
		cmd("tech-prefix ...", wrongf("not offered: write a voice translation-rule")), note("supplementary-service ...", "say refer: consume where REFER is to be obeyed"), note("no supplementary-service ...", "REFER is refused unless it says refer: consume"), note("permission ...", whyBorder), note("service ...", "applications are the voice browser's affair"), note("application ...", "applications are the voice browser's affair"),
		note("corlist ...", "classes of restriction are not offered: name what a peer's calls go out by with destinationPeers"), note("carrier-id ...", "not offered"), note("trunkgroup ...", "not offered"), note("monitor probe ...", "OPTIONS say whether it is there"), note("call-block ...", "not offered"), note("no call-block ...", whyAlways),
	}
	all = append(all, patterns("destination-pattern", "calls go out by the called number", destination)...)
	all = append(all, patterns("incoming called-number", "calls come in by the called number", called)...)
	return append(all, patterns("answer-address", "calls come in by the calling number", answer)...)
}

func (r *reader) describePeer(args []string) outcome {
	text := clean(strings.Trim(strings.Join(args, " "), `"`))
	r.peer(func(p *config.DialPeer) { p.Description = text })
	return did("for people: %s", text)
}

func sessionProtocol(_ *reader, args []string) outcome {
	if strings.EqualFold(args[0], "sipv2") {
		return did("SIP")
	}
	return bad("%s is not offered: only session protocol sipv2", args[0])
}

func (r *reader) sessionTarget(args []string) outcome {
	tag := r.mark()
	if strings.EqualFold(args[0], "sip-server") {
		peer := r.arg
		return r.refer(func() outcome {
			if r.sipServer == nil {
				return bad("sip-ua says no sip-server: give the address here, session target ipv4:ADDRESS:PORT")
			}
			r.arg = peer
			return r.setTargets(tag, []config.SessionTarget{*r.sipServer})
		})
	}
	if strings.EqualFold(args[0], "sip-uri") {
		return bad("calls are not sent to wherever their URI says: give the address, session target dns:NAME")
	}
	t, err := target(args[0])
	if err != nil {
		return bad("%v", err)
	}
	return r.setTargets(tag, []config.SessionTarget{t})
}

// mark remembers which line gives the peer its target, and returns the tag.
func (r *reader) mark() int {
	tag, _ := strconv.Atoi(r.arg)
	r.targetLine[tag] = len(r.lines) - 1
	return tag
}

func (r *reader) setTargets(_ int, all []config.SessionTarget) outcome {
	r.peer(func(p *config.DialPeer) { p.SessionTargets = all })
	text := make([]string, len(all))
	for i, t := range all {
		text[i] = describe(t)
	}
	return did("calls are sent to %s", strings.Join(text, "; "))
}

func (r *reader) sessionServers(args []string) outcome {
	tag, peer := r.mark(), r.arg
	return r.refer(func() outcome {
		g, ok := r.classes.servers[args[0]]
		if !ok || len(g.targets) == 0 {
			return bad("there is no voice class server-group %s with servers in the text", args[0])
		}
		r.arg = peer
		return r.setTargets(tag, g.expanded())
	})
}

func (r *reader) sessionTransport(args []string) outcome {
	var t config.Transport
	switch words := strings.ToLower(strings.Join(args, " ")); words {
	case "tcp tls", "tls":
		t = config.TransportTLS
	case "tcp":
		t = config.TransportTCP
	case "udp":
		t = config.TransportUDP
	case "system":
		return skip("%s", "as if no session transport were said")
	default:
		return bad("%q is no transport: expected tcp tls, tcp or udp", words)
	}
	tag, _ := strconv.Atoi(r.arg)
	r.transportSaid[tag] = true
	r.peer(func(p *config.DialPeer) { p.Transport = t })
	if t == config.TransportTLS {
		return did("TLS with mutual verification; SRTP is required unless the text says otherwise")
	}
	return did("%s: an exception, nothing protects it", t)
}

func (r *reader) peerCodec(args []string) outcome {
	if keyword(args[0], "transparent") {
		r.peer(func(p *config.DialPeer) { p.CodecList = "" })
		return did("all codecs, as the two sides agree")
	}
	c, err := codec(args[0])
	if err != nil {
		return bad("%v", err)
	}
	set(&r.site.CodecLists, config.CodecList{Name: c, Codecs: []string{c}})
	r.peer(func(p *config.DialPeer) { p.CodecList = c })
	return did("%s alone", c)
}

func (r *reader) peerCodecs(args []string) outcome {
	peer := r.arg
	return r.refer(func() outcome {
		l, ok := get(r.site.CodecLists, args[0])
		if !ok {
			return bad("there is no voice class codec %s in the text, nor a codec list of that name", args[0])
		}
		r.arg = peer
		r.peer(func(p *config.DialPeer) { p.CodecList = l.Name })
		return did("the codecs %s", strings.Join(l.Codecs, ", "))
	})
}

func (r *reader) dtmfRelay(args []string) outcome {
	out, relay := []string{}, config.DTMFInfo
	for _, a := range args {
		switch strings.ToLower(a) {
		case "rtp-nte":
			out = append(out, "telephone events (RFC 4733)")
		case "sip-info":
			out = append(out, "INFO where the peer has no telephone events")
		case "digit-drop":
			out = append(out, "digits are told one way at a time, always")
		case "sip-notify", "sip-kpml", "cisco-rtp", "h245-alphanumeric", "h245-signal":
			return bad("%s is not offered: expected rtp-nte or sip-info", a)
		default:
			return bad("%q is no way of telling digits: expected rtp-nte or sip-info", a)
		}
	}
	if len(out) == 0 {
		return bad("expected rtp-nte or sip-info")
	}
	r.peer(func(p *config.DialPeer) { p.DTMFRelay = relay })
	return did("%s", strings.Join(out, ", "))
}

func (r *reader) peerGroup(args []string) outcome {
	peer := r.arg
	return r.refer(func() outcome {
		g, ok := r.classes.groups[args[0]]
		if !ok || len(g) == 0 {
			return bad("there is no voice class dpg %s with dial-peers in the text", args[0])
		}
		tags := make([]string, len(g))
		for i, c := range g {
			tags[i] = strconv.Itoa(c.Tag)
			if _, ok := get(r.site.DialPeers, tags[i]); !ok {
				return bad("voice class dpg %s names dial-peer %d, which is not there", args[0], c.Tag)
			}
		}
		r.arg = peer
		r.peer(func(p *config.DialPeer) { p.DestinationPeers = slices.Clone(g) })
		return did("calls that come in by it go out by %s alone", strings.Join(tags, ", "))
	})
}

// uri does something with a voice class uri when the whole text has been read.
func (r *reader) uri(class string, says string, field func(p *config.DialPeer) *[]config.URIMatch) outcome {
	peer := r.arg
	return r.refer(func() outcome {
		u, ok := r.classes.uris[class]
		if !ok || len(u.Hosts) == 0 && u.User == "" && u.Pattern == "" {
			return bad("there is no voice class uri %s in the text that says something", class)
		}
		r.arg = peer
		r.peer(func(p *config.DialPeer) { *field(p) = []config.URIMatch{*u} })
		return did("%s", says)
	})
}

func (r *reader) destinationURI(args []string) outcome {
	return r.uri(args[0], "calls go out by the Request-URI of voice class uri "+args[0], func(p *config.DialPeer) *[]config.URIMatch { return &p.DestinationURIs })
}

func (r *reader) incomingURI(args []string) outcome {
	return r.uri(args[1], fmt.Sprintf("calls come in by the URI of %s, voice class uri %s", args[0], args[1]), func(p *config.DialPeer) *[]config.URIMatch {
		switch args[0] {
		case "via":
			return &p.IncomingURI.Via
		case "request":
			return &p.IncomingURI.Request
		case "to":
			return &p.IncomingURI.To
		}
		return &p.IncomingURI.From
	})
}

// optionsKeepalive is options-keepalive [profile N] [up-interval N] [down-interval N] [retry N].
func (r *reader) optionsKeepalive(args []string) outcome {
	if len(args) == 2 && keyword(args[0], "profile") {
		peer := r.arg
		return r.refer(func() outcome {
			k, ok := r.classes.keepalives[args[1]]
			if !ok {
				return bad("there is no voice class sip-options-keepalive %s in the text", args[1])
			}
			r.arg = peer
			r.peer(func(p *config.DialPeer) { p.OptionsKeepalive = *k })
			return did("OPTIONS every %s while it answers, %s while it does not", k.IntervalInService, k.IntervalOutOfService)
		})
	}
	k := config.OptionsPing{}
	for i := 0; i < len(args); i += 2 {
		which := slices.IndexFunc([]string{"up-interval", "down-interval", "retry"}, func(w string) bool { return keyword(args[i], w) })
		if which < 0 || i+1 == len(args) {
			return bad("expected options-keepalive up-interval SECONDS down-interval SECONDS retry N, or profile N")
		}
		if out := setKeepalive(&k, which, args[i+1]); out.verdict == Wrong {
			return out
		}
	}
	r.peer(func(p *config.DialPeer) { p.OptionsKeepalive = k })
	return did("OPTIONS say whether it is there; calls go elsewhere while it is not")
}

func (r *reader) peerProfiles(args []string) outcome {
	peer, inbound := r.arg, len(args) > 1 && keyword(args[1], "inbound")
	if len(args) > 1 && !inbound || len(args) > 2 {
		return bad("expected voice-class sip profiles N, or profiles N inbound")
	}
	return r.refer(func() outcome {
		h, ok := get(r.site.HeaderRules, args[0])
		if !ok {
			return bad("there is no voice class sip-profiles %s in the text, nor header rules of that name", args[0])
		}
		r.arg = peer
		r.peer(func(p *config.DialPeer) {
			if inbound {
				p.IncomingHeaders = h.Name
			} else {
				p.OutgoingHeaders = h.Name
			}
		})
		return did("%d header rules", len(h.Rules))
	})
}

func (r *reader) rel1xx(args []string) outcome {
	if len(args) == 0 {
		return bad("expected supported, require or disable")
	}
	v := config.Rel1xxSDP
	switch {
	case keyword(args[0], "disable"):
		v = config.Rel1xxDisabled
	case keyword(args[0], "require"):
		v = config.Rel1xxAll
	case !keyword(args[0], "supported"):
		return bad("%q is not known: expected supported, require or disable", args[0])
	}
	r.peer(func(p *config.DialPeer) { p.Rel1xx = v })
	return did("reliable provisional responses: %s", v)
}

func (r *reader) peerTranslation(args []string) outcome {
	peer := r.arg
	return r.refer(func() outcome {
		if r.classes.profiles[args[1]] != nil {
			r.makeTranslation(args[1])
		}
		if _, ok := get(r.site.NumberTranslations, args[1]); !ok {
			return bad("there is no voice translation-profile %s with rules in the text, nor a number translation of that name", args[1])
		}
		r.arg = peer
		r.peer(func(p *config.DialPeer) {
			if args[0] == "incoming" {
				p.IncomingTranslation = args[1]
			} else {
				p.OutgoingTranslation = args[1]
			}
		})
		return did("numbers of calls that are %s by the translation %s", args[0], args[1])
	})
}

func (r *reader) peerTLSProfile(args []string) outcome {
	peer := r.arg
	return r.withProfile(args[0], func(t string) outcome {
		r.arg = peer
		r.peer(func(p *config.DialPeer) { p.Trustpoint = t })
		return did("trustpoint %s verifies it", t)
	})
}

// finish says what the field would have taken for granted, and what is wrong with the whole.
func (r *reader) finish() {
	for i := range r.site.DialPeers {
		r.finishPeer(&r.site.DialPeers[i])
	}
	for _, l := range r.site.CodecLists {
		if _, was := get(r.was.CodecLists, l.Name); !was && len(l.Codecs) == 0 {
			r.hints = append(r.hints, fmt.Sprintf("the codec list %s is empty: no codec of it was understood", l.Name))
		}
	}
	r.site.HeaderRules = slices.DeleteFunc(r.site.HeaderRules, func(h config.HeaderRules) bool { return len(h.Rules) == 0 && !r.uses(h.Name) })
	r.hintTrustpoints()
	if err := r.site.Check(); err != nil {
		for line := range strings.Lines(err.Error()) {
			r.problems = append(r.problems, clean(strings.TrimRight(line, "\n")))
		}
	}
}

func (r *reader) uses(rules string) bool {
	return slices.ContainsFunc(r.site.DialPeers, func(p config.DialPeer) bool { return p.IncomingHeaders == rules || p.OutgoingHeaders == rules })
}

func (r *reader) finishPeer(p *config.DialPeer) {
	at, touched := r.targetLine[p.Tag]
	_, was := get(r.was.DialPeers, p.Key())
	if touched && !was && !r.transportSaid[p.Tag] && len(p.SessionTargets) > 0 {
		p.Transport = config.TransportUDP
		if r.lines[at].Verdict == Understood {
			r.lines[at].Says += "; by UDP, because no session transport is said: an exception"
		}
	}
	if p.WithDefaults().Transport != config.TransportTLS && p.SRTP == config.PeerSRTPFallback {
		p.SRTP = config.PeerSRTPNever
		r.hints = append(r.hints, fmt.Sprintf("dial-peer %d: keys would travel readable over %s: its media is RTP", p.Tag, p.Transport))
	}
	matches := len(p.DestinationPatterns) + len(p.DestinationURIs)
	named := slices.ContainsFunc(r.site.DialPeers, func(o config.DialPeer) bool {
		return slices.ContainsFunc(o.DestinationPeers, func(c config.DialPeerChoice) bool { return c.Tag == p.Tag })
	})
	switch {
	case (touched || !was) && len(p.SessionTargets) > 0 && matches == 0 && !named:
		r.hints = append(r.hints, fmt.Sprintf("dial-peer %d has no destination-pattern: calls come in by it, and none go out", p.Tag))
	case !was && len(p.SessionTargets) == 0 && matches > 0:
		r.hints = append(r.hints, fmt.Sprintf("dial-peer %d has no session target: no calls go out by it", p.Tag))
	}
}

// hintTrustpoints tells of addresses that no dial-peer has.
func (r *reader) hintTrustpoints() {
	for _, t := range r.site.Trustpoints {
		was, _ := get(r.was.Trustpoints, t.Name)
		for _, a := range t.RemoteAddresses {
			if slices.Contains(was.RemoteAddresses, a) || strings.Contains(a, "/") {
				continue
			}
			if !slices.ContainsFunc(r.site.DialPeers, func(p config.DialPeer) bool {
				return slices.ContainsFunc(p.SessionTargets, func(s config.SessionTarget) bool { return s.Address == a })
			}) {
				r.hints = append(r.hints, fmt.Sprintf("no dial-peer has the target %s: nothing comes from there until one has", a))
			}
		}
	}
}
