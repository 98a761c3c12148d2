package snippet

// Reasons that many lines share.
const (
	whyMachine  = "belongs to the machine the border runs on, not to its calls"
	whyPKI      = "certificates and authorities come with locktone cert and the cluster's own authority; nothing is imported here"
	whyBound    = "the border is bound to its own address: services of the node in the site file say which"
	whyAlways   = "always so here"
	whyFax      = "fax and modem calls go as G.711 without a protocol of their own"
	whyQuality  = "packets are marked by the machine"
	whyBorder   = "there is no such choice here: what the border does is said in docs/border.md"
	whyDefaults = "defaults serve"
)

// commands are all commands by mode. Of two that match the first counts.
var commands = map[mode][]command{
	modeTop: {
		cmd("configure terminal", func(r *reader, _ []string) outcome { return end2(r, "enters configuration") }),
		cmd("conf t", func(r *reader, _ []string) outcome { return end2(r, "enters configuration") }),
		cmd("end", end), cmd("exit", exit), cmd("ex", exit),
		note("enable", "there is no such mode here"), note("disable", "there is no such mode here"),
		note("write memory", "a change is kept as soon as it is applied"), note("wr", "a change is kept as soon as it is applied"), note("write", "a change is kept as soon as it is applied"),
		note("copy running-config startup-config", "a change is kept as soon as it is applied"), note("copy run start", "a change is kept as soon as it is applied"),
		note("show sip-ua connections tcp tls detail", "a question, not configuration: locktone show sip-ua connections tcp tls detail"),
		note("show sip-ua connections ...", "a question, not configuration: locktone show sip-ua connections tcp|udp brief, or tcp tls detail"),
		note("show ...", "a question, not configuration: see locktone show"),
		note("debug ssl openssl errors|msg|states", "a question, not configuration: locktone debug ssl openssl errors, msg or states"),
		note("debug ...", "a question, not configuration: see locktone debug and locktone trace"), note("undebug ...", "nothing is on that could be left on"),
		note("utils ctl set-cluster mixed-mode", "another product's command; here it is locktone utils ctl set-cluster mixed-mode, and mixed is the default"),
		note("utils ...", "another product's command"),
		cmd("sip-ua", open(modeSIPUA, "the border's SIP user agent")),
		cmd("dial-peer voice $ voip|pots|mmoip", (*reader).openPeer), cmd("no dial-peer voice $ ...", (*reader).removePeer),
		note("dial-peer cor ...", "classes of restriction are not offered: name what a peer's calls go out by with destinationPeers (voice class dpg)"),
		note("dial-peer hunt ...", "the order is longest match, preference, tag, as with dial-peer hunt 0"),
		note("dial-peer ...", "not offered"),
		cmd("voice service voip", open(modeService, "what is the same for all dial-peers")),
		cmd("voice service pots", other("analogue ports are not offered")),
		cmd("voice class codec $", (*reader).openCodec), cmd("voice class uri $ sip", (*reader).openURI), cmd("voice class server-group $", (*reader).openServers),
		cmd("voice class dpg $", (*reader).openGroup), cmd("voice class e164-pattern-map $", (*reader).openMap), cmd("voice class sip-profiles $", (*reader).openProfiles),
		cmd("voice class sip-options-keepalive $", (*reader).openKeepalive), cmd("voice class tls-profile $", (*reader).openTLSProfile),
		cmd("voice class srtp-crypto $", other("which suites are offered is the border's affair: AES-GCM first, then AES-CM")),
		cmd("voice class tls-cipher $", other("which ciphers are offered is the border's affair: those of TLS 1.3, and of 1.2 those with forward secrecy and authenticated encryption")),
		cmd("voice class tenant $", wrong(modeOther, "tenants are not offered: put what it says into the dial-peers that name it")),
		cmd("voice class ...", other("a class that no dial-peer here uses")),
		cmd("voice translation-rule $", (*reader).openRule), cmd("voice translation-profile $", (*reader).openTranslation),
		cmd("crypto pki trustpoint $", (*reader).openTrustpoint), cmd("crypto pki certificate ...", openCertificate), cmd("crypto pki ...", other(whyPKI)), cmd("crypto key ...", other(whyPKI)),
		cmd("crypto ...", other(whyMachine)), cmd("no crypto ...", other(whyMachine)), cmd("num-exp ...", wrong(modeTop, "number expansion is not offered: write a voice translation-rule and name it in the dial-peers")),
		cmd("interface ...", other(whyMachine)), cmd("ip ...", other(whyMachine)), cmd("ipv6 ...", other(whyMachine)), cmd("line ...", other(whyMachine)), cmd("router ...", other(whyMachine)),
		cmd("hostname ...", other(whyMachine)), cmd("version ...", other(whyMachine)), cmd("service ...", other(whyMachine)), cmd("logging ...", other(whyMachine)), cmd("ntp ...", other(whyMachine)),
		cmd("aaa ...", other(whyMachine)), cmd("username ...", other(whyMachine)), cmd("enable secret ...", other(whyMachine)), cmd("snmp-server ...", other(whyMachine)), cmd("boot-start-marker", other(whyMachine)),
		cmd("boot-end-marker", other(whyMachine)), cmd("license ...", other(whyMachine)), cmd("clock ...", other(whyMachine)), cmd("redundancy ...", other(whyMachine)), cmd("control-plane ...", other(whyMachine)),
		cmd("banner ...", other(whyMachine)), cmd("vrf ...", other(whyMachine)), cmd("access-list ...", other(whyMachine)), cmd("spanning-tree ...", other(whyMachine)), cmd("platform ...", other(whyMachine)),
		cmd("subscriber ...", other(whyMachine)), cmd("voice-card ...", other("there are no signal processors here")), cmd("dspfarm ...", other("there are no signal processors here")),
		cmd("mgcp ...", other("not offered")), cmd("sccp ...", other("not offered here: the call manager has SCCP")), cmd("gateway", other("H.323 is not offered")), cmd("telephony-service", other("phones are the call manager's affair")),
	},
	modeSIPUA: {
		cmd("transport tcp tls ...", (*reader).transportTLS),
		note("transport tcp|udp", "listened to while a dial-peer needs it"), note("no transport ...", "listened to while a dial-peer needs it, and to nothing else"),
		cmd("crypto signaling remote-addr $ $ trustpoint $ ...", (*reader).remoteTrustpoint), cmd("crypto signaling default trustpoint $ ...", (*reader).defaultTrustpoint),
		cmd("crypto signaling remote-addr $ $ tls-profile $", (*reader).remoteProfile), cmd("crypto signaling default tls-profile $", (*reader).defaultProfile),
		cmd("no crypto signaling default ...", (*reader).noDefaultTrustpoint), cmd("no crypto signaling remote-addr $ $ ...", (*reader).noRemoteTrustpoint),
		cmd("crypto signaling ...", wrongf("expected crypto signaling remote-addr ADDRESS MASK trustpoint NAME, or crypto signaling default trustpoint NAME")),
		cmd("sip-server $", (*reader).setSIPServer), cmd("timers trying $", (*reader).timerTrying), note("timers ...", whyDefaults), note("retry ...", "requests are repeated as RFC 3261 says; locktone's timers stand under borders"),
		note("keepalive ...", "a dial-peer's OPTIONS keep-alive says whether it is there"), note("connection-reuse ...", "connections are used again where the peer's certificate allows it"),
		note("no remote-party-id", whyAlways), note("remote-party-id", "P-Asserted-Identity says it, where a dial-peer has assertedIdentity"), note("nat ...", whyBound),
		cmd("registrar ...", wrongf("registering with a provider is not offered")), cmd("authentication ...", wrongf("answering a provider's challenges is not offered by the border: a SIP trunk of the call manager does it")),
		cmd("credentials ...", wrongf("answering a provider's challenges is not offered by the border: a SIP trunk of the call manager does it")),
		note("g729-annexb ...", whyDefaults), note("no g729-annexb ...", whyDefaults), note("set ...", whyDefaults), note("mwi-server ...", "not offered"), note("permit hostname ...", whyDefaults), note("reason-header ...", whyAlways),
		note("suspend-resume", whyDefaults), note("srv version ...", whyAlways), note("notify ...", whyDefaults), note("max-forwards ...", whyDefaults), note("redirection", "a redirection ends the attempt, and the next dial-peer is hunted"),
		note("protocol mode ...", "addresses are what they are: both families are spoken"), note("tcp-retry ...", whyDefaults), note("presence ...", "not offered"), note("host-registrar", "not offered"),
	},
	modeService: {
		cmd("ip address trusted list", open(modeTrusted, "addresses that may send calls without TLS")), note("ip address trusted ...", whyAlways), cmd("no ip address trusted authenticate", wrongf("calls from strangers are always refused: list the addresses that may send them")),
		note("allow-connections sip to sip", whyAlways), note("allow-connections ...", "only SIP to SIP"), note("address-hiding", whyAlways), note("mode border-element ...", whyAlways), note("media ...", "media always goes through the border"),
		note("no supplementary-service sip refer", "REFER is refused unless a dial-peer says refer: consume"), note("no supplementary-service sip moved-temporarily", whyAlways), note("supplementary-service ...", "a dial-peer says refer: consume where REFER is to be obeyed"), note("no supplementary-service ...", whyAlways),
		note("fax ...", whyFax), note("modem ...", whyFax), note("no fax-relay ...", whyFax), note("rtp-port range ...", "the node's media ports are in its own configuration"), note("rtcp ...", whyDefaults), note("notify ...", whyDefaults), note("trace", "calls are traced always: locktone trace"), note("shutdown", "take border out of the node's services instead"),
		cmd("srtp", globalSRTP), cmd("srtp fallback", wrongf("say srtp fallback in the dial-peers it is for: SRTP is required with TLS here")), note("no srtp", "say it in the dial-peers it is for"), note("callmonitor", whyDefaults), note("cpa", "not offered"), note("clid ...", whyDefaults), note("redirect ...", whyDefaults), note("gcid", whyAlways), note("dtmf-interworking ...", whyAlways),
		cmd("sip", open(modeServiceSIP, "what is the same for all SIP dial-peers")), note("h323", "H.323 is not offered"), note("no voice ...", whyDefaults),
	},
	modeServiceSIP: {
		cmd("session transport tcp tls", globalTransport), cmd("session transport tcp|udp", wrongf("say session transport in the dial-peers: the default here is TLS, and of new dial-peers with a target UDP as in the field")),
		cmd("localhost $ ...", (*reader).localhost), cmd("min-se $ ...", (*reader).minSE), note("bind ...", whyBound), note("early-offer forced", "say voice-class sip early-offer forced in the dial-peers it is for"),
		note("midcall-signaling ...", "what concerns one side alone is not passed on"), note("header-passing ...", "headers are not passed from side to side: the border begins a call of its own"), note("pass-thru ...", "headers and bodies are not passed from side to side"),
		note("asserted-id ...", "say voice-class sip asserted-id in the dial-peers it is for"), note("rel1xx ...", "say voice-class sip rel1xx in the dial-peers it is for"), note("error-passthru", "the cause is passed on"), note("options-ping ...", "dial-peers say it with voice-class sip options-keepalive"),
		note("sip-profiles ...", "say voice-class sip profiles in the dial-peers it is for"), note("srtp-auth ...", whyDefaults), note("srtp negotiate ...", whyDefaults), note("call service ...", whyDefaults), note("registrar ...", "not offered"), note("g729 ...", whyDefaults), note("privacy ...", whyDefaults), note("privacy-policy ...", whyDefaults),
		note("anat", "addresses are what they are"), note("conn-reuse", whyAlways), note("listen-port ...", "5061 with TLS and 5060 without"), note("history-info", whyDefaults), note("update-callerid", whyAlways), note("referto-passing", "REFER is refused or consumed"), note("no call service ...", whyDefaults), note("no update-callerid", whyAlways), note("no anat", "addresses are what they are"), note("e911", "not offered"), note("block ...", whyDefaults), note("outbound-proxy ...", "a session target is where calls are sent"),
	},
	modePeer:       peerCommands(),
	modeTrusted:    {cmd("ipv4|ipv6 $ ...", (*reader).trusted), cmd("no ipv4|ipv6 $ ...", (*reader).untrusted)},
	modeCodec:      {cmd("codec preference $ $ ...", (*reader).codecPreference), note("description ...", whyDefaults), note("video codec ...", "video is not offered"), note("offer-all", "all codecs of the list are offered always")},
	modeURI:        {cmd("host $", (*reader).uriHost), cmd("user-id $", (*reader).uriUser), cmd("pattern $", (*reader).uriPattern), note("description ...", whyDefaults)},
	modeServers:    {cmd("ipv4|ipv6 $ ...", (*reader).server), cmd("dns $ ...", (*reader).serverName), cmd("hunt-scheme preference|round-robin", (*reader).huntScheme), note("description ...", whyDefaults), note("huntstop ...", "a target that refuses is followed by the next dial-peer, one that is away by the next target"), note("shutdown", "take it out instead")},
	modeGroup:      {cmd("dial-peer $ ...", (*reader).groupPeer), note("description ...", whyDefaults)},
	modeMap:        {cmd("e164 $", (*reader).mapPattern), cmd("url ...", wrongf("patterns cannot be fetched: write them into the text, e164 PATTERN")), note("description ...", whyDefaults), note("shutdown", "take it out instead")},
	modeProfiles:   {cmd("rule $ request|response ...", (*reader).numberedProfile), cmd("request|response ...", (*reader).profile), cmd("copy-list ...", wrongf("copying between messages is not offered")), note("description ...", whyDefaults)},
	modeKeepalive:  {cmd("up-interval $", keepalive(0)), cmd("down-interval $", keepalive(1)), cmd("retry $", keepalive(2)), note("transport ...", "the dial-peer's own"), note("sip-profiles ...", "the dial-peer's own"), note("description ...", whyDefaults)},
	modeTLSProfile: {cmd("trustpoint $", (*reader).profileTrustpoint), cmd("cn-san validate ...", validated), cmd("cn-san $ $", (*reader).profileName), note("cipher ...", "which ciphers are offered is the border's affair"), note("sni ...", whyAlways), note("description ...", whyDefaults), note("client-vtp $", "the same authorities verify both directions"), note("min-protocol ...", "TLS 1.2 at least")},
	modeRule:       {cmd("rule $ ...", (*reader).translationRule), note("description ...", whyDefaults)},
	modeTranslation: {cmd("translate called|calling $", (*reader).translate), cmd("translate ...", wrongf("only called and calling numbers are translated")),
		note("description ...", whyDefaults)},
	modeTrustpoint: {note("enrollment ...", whyPKI), note("revocation-check ...", "revocation is checked by what is known of the authorities"), note("subject-name ...", whyPKI), note("subject-alt-name ...", whyPKI), note("fqdn ...", whyPKI), note("rsakeypair ...", whyPKI), note("eckeypair ...", whyPKI), note("serial-number ...", whyPKI),
		note("ip-address ...", whyPKI), note("hash ...", whyPKI), note("usage ...", whyPKI), note("chain-validation ...", whyAlways), note("auto-enroll ...", whyPKI), note("source ...", whyPKI), note("password ...", whyPKI), cmd("certificate ...", openCertificate), cmd("ca-certificate ...", openCertificate)},
}

// end2 leaves every mode.
func end2(r *reader, says string) outcome {
	r.mode = modeTop
	return did("%s", says)
}

// open is a command that opens a mode without an argument.
func open(m mode, says string) func(*reader, []string) outcome {
	return func(r *reader, _ []string) outcome {
		r.mode, r.arg = m, ""
		return did("%s", says)
	}
}

// other is a section of no interest: its lines are skipped.
func other(why string) func(*reader, []string) outcome {
	return func(r *reader, _ []string) outcome {
		r.mode = modeOther
		return skip("%s", why)
	}
}

func wrong(m mode, why string) func(*reader, []string) outcome {
	return func(r *reader, _ []string) outcome {
		r.mode = m
		return bad("%s", why)
	}
}

func wrongf(why string) func(*reader, []string) outcome {
	return func(*reader, []string) outcome { return bad("%s", why) }
}

func openCertificate(r *reader, words []string) outcome {
	if len(words) > 0 && words[0] == "chain" || r.mode == modeTop {
		r.mode = modeTrustpoint
		return skip("%s", whyPKI)
	}
	r.mode = modeCertificate
	return skip("%s", whyPKI)
}

func globalSRTP(*reader, []string) outcome      { return did("SRTP: required with TLS anyway") }
func globalTransport(*reader, []string) outcome { return did("TLS: the default anyway") }
func validated(*reader, []string) outcome {
	return did("peers' names are verified, which is always so here, in both directions")
}
