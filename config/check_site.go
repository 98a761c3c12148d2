package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // so that a zone is known on a machine without the files too
)

func (c *checker) cluster() {
	cl := c.site.Cluster
	if cl.Name != "" {
		c.name("cluster.name", cl.Name)
	}
	c.domain("cluster.domain", cl.Domain)
	c.within("cluster.callRecordRetention", cl.CallRecordRetention, 1, 36500)
	c.ctiParameters(cl)
}

// ctiParameters checks the service parameters of the CTI managers.
func (c *checker) ctiParameters(cl Cluster) {
	c.between("cluster.ctiNewCallAcceptTimer", cl.CTINewCallAcceptTimer, time.Second, 10*time.Minute)
	c.between("cluster.ctiApplicationHeartbeatMinimumInterval", cl.CTIHeartbeatMinimumInterval, time.Second, time.Hour)
	c.between("cluster.ctiApplicationHeartbeatMaximumInterval", cl.CTIHeartbeatMaximumInterval, time.Second, 24*time.Hour)
	c.within("cluster.ctiMaximumDevicesPerProvider", cl.CTIMaximumDevicesPerProvider, 1, 100000)
	c.within("cluster.ctiMaximumConnections", cl.CTIMaximumConnections, 1, 20000)
	c.within("cluster.ctiInstanceIdRetryCount", cl.CTIInstanceIDRetryCount, 1, 100)
	c.between("cluster.ctiLoginTimeLimit", cl.CTILoginTimeLimit, time.Second, 10*time.Minute)
	c.between("cluster.ctiRequestTimeLimit", cl.CTIRequestTimeLimit, time.Second, 2*time.Minute)
	d := cl.WithDefaults()
	for _, x := range []struct {
		name string
		v    Duration
	}{{"Minimum", d.CTIHeartbeatMinimumInterval}, {"Maximum", d.CTIHeartbeatMaximumInterval}} {
		if x.v.D()%time.Second != 0 {
			c.at("cluster.ctiApplicationHeartbeat"+x.name+"Interval", fmt.Sprintf("%v has a part of a second", x.v), "expected whole seconds: the protocol has no others")
		}
	}
	if low, high := d.CTIHeartbeatMinimumInterval, d.CTIHeartbeatMaximumInterval; low > high {
		c.at("cluster.ctiApplicationHeartbeatMinimumInterval", fmt.Sprintf("%v is more than ctiApplicationHeartbeatMaximumInterval (%v)", low, high), "expected at most as long")
	}
}

func (c *checker) nodes() {
	eachOf(c, "nodes", c.site.Nodes, func(n Node) string { return n.Name }, func(path string, n Node) {
		c.address(path+".address", n.Address, false)
		seen := map[ServiceName]bool{}
		for i, s := range n.Services {
			sub := fmt.Sprintf("%s.services[%d]", path, i)
			switch {
			case s.Service == ServiceNone:
				c.at(sub+".service", "is missing", "expected one of "+listOf(ServiceNone.Values()[1:]))
			case seen[s.Service]:
				c.at(sub+".service", fmt.Sprintf("%s is listed twice", s.Service), "remove one; further addresses go into alsoAddresses")
			}
			seen[s.Service] = true
			c.address(sub+".address", s.Address, false)
			for j, a := range s.AlsoAddresses {
				c.address(fmt.Sprintf("%s.alsoAddresses[%d]", sub, j), a, true)
			}
			c.servicePorts(sub, s)
		}
	})
}

// servicePorts refuses settings that the service does not have: they would be believed and do nothing.
func (c *checker) servicePorts(path string, s NodeService) {
	c.port(path+".port", s.Port)
	c.port(path+".httpPort", s.HTTPPort)
	c.port(path+".httpsPort", s.HTTPSPort)
	if s.Port != 0 && s.Service != ServiceCAPF && s.Service != ServiceTVS && s.Service != ServiceCTIManager && s.Service != ServiceProvisioning && s.Service != ServiceBus {
		c.at(path+".port", fmt.Sprintf("%s has no port of its own here", s.Service), "remove it; the call manager's ports are in the security profiles, admin's is in the node's configuration")
	}
	if (s.HTTPPort != 0 || s.HTTPSPort != 0) && s.Service != ServiceProvisioning {
		c.at(path+".httpPort", fmt.Sprintf("%s serves no files", s.Service), "remove httpPort and httpsPort, or move them to provisioning")
	}
	c.issuer(path, s)
	if s.LegacyRSA && s.Service != ServiceCAPF {
		c.at(path+".legacyRSA", fmt.Sprintf("%s has no such exception", s.Service), "remove it, or move it to capf")
	}
	if s.Clear && s.Service != ServiceCTIManager {
		c.at(path+".clear", fmt.Sprintf("%s has no such exception", s.Service), "remove it, or move it to ctimanager")
	}
}

func (c *checker) pools() {
	eachOf(c, "callManagerGroups", c.site.CallManagerGroups, func(g CallManagerGroup) string { return g.Name }, func(path string, g CallManagerGroup) {
		c.refs(path+".nodes", KindNode, g.Nodes, true)
		for i, name := range g.Nodes {
			for _, n := range c.site.Nodes {
				if n.Name == name && !n.Runs(ServiceCallManager) {
					c.at(fmt.Sprintf("%s.nodes[%d]", path, i), fmt.Sprintf("node %q does not run the call manager", name), "add callmanager to its services or choose another node")
				}
			}
		}
	})
	eachOf(c, "devicePools", c.site.DevicePools, func(p DevicePool) string { return p.Name }, func(path string, p DevicePool) {
		c.ref(path+".callManagerGroup", KindCallManagerGroup, p.CallManagerGroup, true)
		c.ref(path+".musicOnHold", KindMusicOnHold, p.MusicOnHold, false)
		c.ref(path+".callingTransformationSearchSpace", KindCallingSearchSpace, p.CallingTransformationSearchSpace, false)
		c.zone(path+".timeZone", p.TimeZone)
		if p.EmergencyCallerNumber != "" {
			c.number(path+".emergencyCallerNumber", p.EmergencyCallerNumber)
		}
	})
	eachOf(c, "musicOnHold", c.site.MusicOnHold, func(m MusicOnHold) string { return m.Name }, func(string, MusicOnHold) {})
}

func (c *checker) zone(path, name string) {
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		c.at(path, fmt.Sprintf("%q is not a time zone", name), "expected a name of the IANA list, such as Europe/Berlin")
	}
}

// transport refuses a transport that contradicts the security mode.
func (c *checker) transport(path string, t Transport, m DeviceSecurityMode) {
	switch {
	case m != NonSecure && t != TransportDefault && t != TransportTLS:
		c.at(path, fmt.Sprintf("%s does not go with deviceSecurityMode %s", t, m), "expected tls; a profile without TLS needs deviceSecurityMode non-secure")
	case m == NonSecure && t == TransportTLS:
		c.at(path, "tls does not go with deviceSecurityMode non-secure", "expected tcp, udp or tcp+udp; for TLS choose authenticated or encrypted")
	}
}

func (c *checker) phoneProfiles() {
	all := c.site.PhoneSecurityProfiles
	eachOf(c, "phoneSecurityProfiles", all, func(p PhoneSecurityProfile) string { return p.Name }, func(path string, p PhoneSecurityProfile) {
		c.transport(path+".transport", p.Transport, p.DeviceSecurityMode)
		c.port(path+".incomingPort", p.IncomingPort)
		c.between(path+".nonceValidity", p.NonceValidity, time.Second, 24*time.Hour)
		c.oneOf(path+".capf.rsaKeySize", p.CAPF.RSAKeySize, 2048, 3072, 4096)
		c.oneOf(path+".capf.ecKeySize", p.CAPF.ECKeySize, 256, 384, 521)
		if p.DigestMD5 && !p.DigestAuthentication {
			c.at(path+".digestMD5", "has no effect", "set digestAuthentication as well, or remove it")
		}
	})
	c.ports()
}

// ports refuses a port that would have to be TLS for one profile and plain for another.
func (c *checker) ports() {
	type use struct {
		tls  bool
		path string
	}
	first := map[int]use{}
	look := func(path string, port int, t Transport) {
		is := use{t == TransportTLS, path}
		was, seen := first[port]
		if seen && was.tls != is.tls {
			c.at(path, fmt.Sprintf("port %d is used with TLS and without", port), "expected another port for the profile without TLS, by custom 5060")
		}
		if !seen {
			first[port] = is
		}
	}
	for i, p := range c.site.PhoneSecurityProfiles {
		p = p.WithDefaults()
		look(fmt.Sprintf("phoneSecurityProfiles[%d].incomingPort", i), p.IncomingPort, p.Transport)
	}
	for i, p := range c.site.SIPTrunkSecurityProfiles {
		p = p.WithDefaults()
		look(fmt.Sprintf("sipTrunkSecurityProfiles[%d].incomingPort", i), p.IncomingPort, p.IncomingTransport)
	}
}

func (c *checker) sipProfiles() {
	eachOf(c, "sipProfiles", c.site.SIPProfiles, func(p SIPProfile) string { return p.Name }, func(path string, p SIPProfile) {
		c.sipTimers(path, "optionsPing", p)
		c.between(path+".registerExpires", p.RegisterExpires, 10*time.Second, 24*time.Hour)
		c.between(path+".registerMinExpires", p.RegisterMinExpires, time.Second, 24*time.Hour)
		d := p.WithDefaults()
		c.order(path+".registerExpires", "registerExpires", d.RegisterExpires, "registerMinExpires", d.RegisterMinExpires)
	})
}

// sipTimers checks the timers of a profile, or of what has some of its fields; ping is what that calls optionsPing.
func (c *checker) sipTimers(path, ping string, p SIPProfile) {
	o, t, s := p.OptionsPing, p.Timers, p.SessionTimer
	c.between(path+"."+ping+".intervalInService", o.IntervalInService, time.Second, time.Hour)
	c.between(path+"."+ping+".intervalOutOfService", o.IntervalOutOfService, time.Second, time.Hour)
	c.within(path+"."+ping+".retries", o.Retries, 1, 20)
	c.between(path+"."+ping+".retryInterval", o.RetryInterval, 50*time.Millisecond, 10*time.Second)
	c.between(path+".timers.t1", t.T1, 10*time.Millisecond, 10*time.Second)
	c.between(path+".timers.t2", t.T2, 10*time.Millisecond, time.Minute)
	c.between(path+".timers.inviteExpires", t.InviteExpires, time.Second, time.Hour)
	c.between(path+".sessionTimer.min", s.Min, 90*time.Second, 24*time.Hour)
	c.between(path+".sessionTimer.expires", s.Expires, 90*time.Second, 24*time.Hour)
	d := p.WithDefaults()
	c.order(path+".timers.t2", "t2", d.Timers.T2, "t1", d.Timers.T1)
	c.order(path+".sessionTimer.expires", "expires", d.SessionTimer.Expires, "min", d.SessionTimer.Min)
}

func (c *checker) order(path, name string, v Duration, lowName string, low Duration) {
	if v < low {
		c.at(path, fmt.Sprintf("%s (%s) is shorter than %s (%s)", name, v, lowName, low), "expected at least as long")
	}
}

func (c *checker) trunkProfiles() {
	owner := map[string]string{}
	eachOf(c, "sipTrunkSecurityProfiles", c.site.SIPTrunkSecurityProfiles, func(p SIPTrunkSecurityProfile) string { return p.Name }, func(path string, p SIPTrunkSecurityProfile) {
		c.transport(path+".incomingTransport", p.IncomingTransport, p.DeviceSecurityMode)
		c.transport(path+".outgoingTransport", p.OutgoingTransport, p.DeviceSecurityMode)
		if p.OutgoingTransport == TransportTCPUDP {
			c.at(path+".outgoingTransport", "tcp+udp leaves open what to use", "expected tls, tcp or udp")
		}
		c.port(path+".incomingPort", p.IncomingPort)
		c.between(path+".nonceValidity", p.NonceValidity, time.Second, 24*time.Hour)
		c.subjects(path, p, owner)
		c.ref(path+".digestUser", KindUser, p.DigestUser, p.DigestAuthentication)
		if p.DigestAuthentication {
			c.credential(path+".digestUser", p.DigestUser)
		}
	})
}

func (c *checker) subjects(path string, p SIPTrunkSecurityProfile, owner map[string]string) {
	if p.DeviceSecurityMode != NonSecure && len(p.AcceptedSubjects) == 0 {
		c.at(path+".acceptedSubjects", "is empty", "expected the common name or a subject alternative name of the peer's certificate")
	}
	if p.DeviceSecurityMode == NonSecure && len(p.AcceptedSubjects) > 0 {
		c.at(path+".acceptedSubjects", "has no effect without TLS", "remove it, or choose deviceSecurityMode encrypted or authenticated")
	}
	port := p.WithDefaults().IncomingPort
	for i, s := range p.AcceptedSubjects {
		sub := fmt.Sprintf("%s.acceptedSubjects[%d]", path, i)
		switch {
		case strings.Contains(s, "*"):
			c.at(sub, fmt.Sprintf("%q has a wildcard", s), "expected the whole name the certificate carries")
		case strings.TrimSpace(s) == "":
			c.at(sub, "is empty", "expected a name")
		}
		key := fmt.Sprintf("%s:%d", strings.ToLower(s), port)
		if other, dup := owner[key]; dup {
			c.at(sub, fmt.Sprintf("%q on port %d already belongs to %s", s, port, other), "expected each pair of subject and port once, or calls could not be told apart")
		}
		owner[key] = p.Name
	}
}

// credential checks that a user can answer a digest challenge.
func (c *checker) credential(path, user string) {
	for _, u := range c.site.Users {
		if u.Name == user && u.DigestCredential.IsZero() {
			c.at(path, fmt.Sprintf("user %q has no digestCredential", user), "give the user one, or switch digestAuthentication off")
		}
	}
}

func (c *checker) trunks() {
	profiles := map[string]SIPTrunkSecurityProfile{}
	for _, p := range c.site.SIPTrunkSecurityProfiles {
		profiles[p.Name] = p
	}
	peers := map[string]string{}
	eachOf(c, "sipTrunks", c.site.SIPTrunks, func(t SIPTrunk) string { return t.Name }, func(path string, t SIPTrunk) {
		c.ref(path+".securityProfile", KindSIPTrunkSecurityProfile, t.SecurityProfile, true)
		c.ref(path+".sipProfile", KindSIPProfile, t.SIPProfile, false)
		c.ref(path+".devicePool", KindDevicePool, t.DevicePool, true)
		c.ref(path+".callingSearchSpace", KindCallingSearchSpace, t.CallingSearchSpace, false)
		c.trunkNumbers(path+".incoming", t.Incoming)
		c.trunkNumbers(path+".outgoing", t.Outgoing)
		c.domain(path+".localDomain", t.LocalDomain)
		c.within(path+".maxCalls", t.MaxCalls, 1, 100000)
		c.trunkCredentials(path, t)
		p, known := profiles[t.SecurityProfile]
		if known && t.SRTPAllowed && p.DeviceSecurityMode != Encrypted {
			c.at(path+".srtpAllowed", fmt.Sprintf("keys would travel readable: security profile %q is %s", p.Name, p.DeviceSecurityMode), "expected an encrypted security profile")
		}
		if c.has[KindDevice][t.Name] {
			c.at(path+".name", fmt.Sprintf("a device is called %q too", t.Name), "expected devices and trunks to have different names")
		}
		c.destinations(path, t, p, peers)
	})
}

// trunkCredentials checks what we answer a peer's digest challenges with: all of it or nothing.
func (c *checker) trunkCredentials(path string, t SIPTrunk) {
	if t.DigestUser == "" && t.DigestRealm == "" && t.DigestPassword.IsZero() {
		return
	}
	if t.DigestUser == "" {
		c.at(path+".digestUser", "is empty", "expected the user name the peer knows us by, with digestRealm and digestPassword")
	}
	if t.DigestRealm == "" {
		c.at(path+".digestRealm", "is empty", "expected the realm of the peer's challenges: its password goes to no other")
	}
	if t.DigestPassword.IsZero() && t.DigestUser != "" && t.DigestRealm != "" {
		c.at(path+".digestPassword", "is empty", "expected the password the peer knows us by, with digestUser and digestRealm")
	}
	for field, s := range map[string]string{"digestUser": t.DigestUser, "digestRealm": t.DigestRealm} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == '$' || r == 0x7f }) || field == "digestUser" && strings.Contains(s, ":") {
			c.at(path+"."+field, "has a character it may not have", `expected none of " \ $ and no control characters, and no colon in a user name`)
		}
	}
	if user, realm, _, _ := t.DigestPassword.HA1(); !t.DigestPassword.IsZero() && t.DigestUser != "" && t.DigestRealm != "" && (user != t.DigestUser || realm != t.DigestRealm) {
		c.at(path+".digestPassword", fmt.Sprintf("is kept for user %q in realm %q", user, realm), "expected digestUser and digestRealm as they were, or the password once more")
	}
}

func (c *checker) destinations(path string, t SIPTrunk, p SIPTrunkSecurityProfile, peers map[string]string) {
	switch {
	case len(t.Destinations) == 0:
		c.at(path+".destinations", "is empty", "expected at least one address")
	case len(t.Destinations) > 16:
		c.at(path+".destinations", fmt.Sprintf("%d destinations", len(t.Destinations)), "expected at most 16")
	case t.SRV && len(t.Destinations) > 1:
		c.at(path+".destinations", "SRV takes one domain", "expected one destination; the domain's records name the servers")
	}
	for i, d := range t.WithDefaults(c.site.Cluster, p).Destinations {
		sub := fmt.Sprintf("%s.destinations[%d]", path, i)
		c.address(sub+".address", d.Address, true)
		c.port(sub+".port", d.Port)
		if _, err := netip.ParseAddr(d.Address); t.SRV && (d.Port != 0 || err == nil) {
			c.at(sub, "SRV takes a domain without a port", "expected for instance address: example.com, or srv: false")
		}
		key := fmt.Sprintf("%s:%d %s", strings.ToLower(d.Address), d.Port, t.SecurityProfile)
		if other, dup := peers[key]; dup && d.Address != "" {
			c.at(sub, fmt.Sprintf("%s:%d with the same security profile is already a destination of trunk %q", d.Address, d.Port, other), "expected each peer on one trunk, or incoming calls could not be told apart")
		}
		peers[key] = t.Name
	}
}

func (c *checker) partitions() {
	eachOf(c, "partitions", c.site.Partitions, func(p Partition) string { return p.Name }, func(path string, p Partition) {
		c.ref(path+".schedule", KindSchedule, p.Schedule, false)
		c.zone(path+".timeZone", p.TimeZone)
		if p.TimeZone != "" && p.Schedule == "" {
			c.at(path+".timeZone", "has no effect", "set schedule as well, or remove it")
		}
	})
	eachOf(c, "callingSearchSpaces", c.site.CallingSearchSpaces, func(s CallingSearchSpace) string { return s.Name }, func(path string, s CallingSearchSpace) {
		c.refs(path+".partitions", KindPartition, s.Partitions, true)
	})
}

func (c *checker) lines() {
	first := map[string]string{}
	for i, l := range c.site.Lines {
		path := fmt.Sprintf("lines[%d]", i)
		c.number(path+".number", l.Number)
		c.unique(first, path, l)
		c.ref(path+".partition", KindPartition, l.Partition, false)
		c.ref(path+".callingSearchSpace", KindCallingSearchSpace, l.CallingSearchSpace, false)
		c.between(path+".noAnswerTimeout", l.NoAnswerTimeout, time.Second, 10*time.Minute)
		c.mask(path+".externalMask", l.ExternalMask)
		c.ref(path+".alternatePartition", KindPartition, l.AlternatePartition, false)
		for j, n := range l.AlternateNumbers {
			c.mask(fmt.Sprintf("%s.alternateNumbers[%d]", path, j), n)
		}
		c.forwards(path, l)
		c.ref(path+".pickupGroup", KindPickupGroup, l.PickupGroup, false)
		c.ref(path+".musicOnHold", KindMusicOnHold, l.MusicOnHold, false)
	}
}

var sepShape = regexp.MustCompile(`^SEP[0-9A-F]{12}$`)

func (c *checker) devices() {
	profiles := map[string]PhoneSecurityProfile{}
	for _, p := range c.site.PhoneSecurityProfiles {
		profiles[p.Name] = p
	}
	eachOf(c, "devices", c.site.Devices, func(d Device) string { return d.Name }, func(path string, d Device) {
		if strings.HasPrefix(strings.ToUpper(d.Name), "SEP") && len(d.Name) > 11 && !sepShape.MatchString(d.Name) {
			c.at(path+".name", fmt.Sprintf("%q is not the name of a desk phone", d.Name), "expected SEP and the 12 digits of its MAC address, 0-9 and A-F in capitals")
		}
		c.ref(path+".devicePool", KindDevicePool, d.DevicePool, true)
		c.ref(path+".phoneSecurityProfile", KindPhoneSecurityProfile, d.PhoneSecurityProfile, false)
		c.ref(path+".sipProfile", KindSIPProfile, d.SIPProfile, false)
		c.ref(path+".callingSearchSpace", KindCallingSearchSpace, d.CallingSearchSpace, false)
		c.ref(path+".callingTransformationSearchSpace", KindCallingSearchSpace, d.CallingTransformationSearchSpace, false)
		c.ref(path+".subscribeCallingSearchSpace", KindCallingSearchSpace, d.SubscribeCallingSearchSpace, false)
		c.ref(path+".owner", KindUser, d.Owner, false)
		digest := profiles[d.PhoneSecurityProfile].DigestAuthentication
		c.ref(path+".digestUser", KindUser, d.DigestUser, digest)
		if digest {
			c.credential(path+".digestUser", d.DigestUser)
		}
		c.terminal(path, d)
		c.appearances(path, d)
	})
}

// terminal refuses what a CTI port or route point does not have: it would be believed and do nothing.
func (c *checker) terminal(path string, d Device) {
	if !d.Protocol.Terminal() {
		return
	}
	has := func(field string, set bool, why string) {
		if set {
			c.at(path+"."+field, fmt.Sprintf("a %s has none: %s", d.Protocol, why), "remove it")
		}
	}
	has("phoneSecurityProfile", d.PhoneSecurityProfile != "", "the application's connection to the CTI manager and the SRTP algorithms it registers decide")
	has("sipProfile", d.SIPProfile != "", "it does not speak SIP")
	has("digestUser", d.DigestUser != "", "it does not speak SIP")
	has("buttons", len(d.Buttons) > 0, "nobody can press them")
	has("subscribeCallingSearchSpace", d.SubscribeCallingSearchSpace != "", "it watches no lamps")
	has("model", d.Model != "", "its protocol says what it is")
	if strings.HasPrefix(d.Name, "SEP") {
		c.at(path+".name", fmt.Sprintf("%q is the name of a desk phone", d.Name), "expected another name for a "+d.Protocol.String())
	}
	if len(d.Lines) == 0 {
		c.at(path+".lines", "is empty", "expected at least one line, by which callers reach the application")
	}
	if d.Protocol == ProtocolCTIPort && len(d.Lines) > 1 {
		c.at(path+".lines", fmt.Sprintf("%d lines", len(d.Lines)), "expected one: a cti-port has one line; a cti-route-point may have several")
	}
}

func (c *checker) appearances(path string, d Device) {
	lines, buttons := map[string]bool{}, map[int]bool{}
	for i, a := range d.WithDefaults().Lines {
		sub := fmt.Sprintf("%s.lines[%d]", path, i)
		key := Line{Number: a.Number, Partition: a.Partition}.Key()
		c.line(sub+".number", a.Number, a.Partition)
		if lines[key] {
			c.at(sub, "the line is on this device already", "expected each line on one button; raise maxCalls for more calls")
		}
		if buttons[a.Index] {
			c.at(sub+".index", fmt.Sprintf("button %d is taken", a.Index), "expected each button once")
		}
		lines[key], buttons[a.Index] = true, true
		c.within(sub+".index", a.Index, 1, 200)
		c.within(sub+".maxCalls", a.MaxCalls, 1, 200)
		c.within(sub+".busyTrigger", a.BusyTrigger, 1, 200)
		if a.BusyTrigger > a.MaxCalls {
			c.at(sub+".busyTrigger", fmt.Sprintf("%d is more than maxCalls (%d)", a.BusyTrigger, a.MaxCalls), "expected at most maxCalls")
		}
	}
}

// lineHint names the partition where the number is, if it is anywhere.
func (c *checker) lineHint(number string) string {
	for _, l := range c.site.Lines {
		if l.Number == number {
			return fmt.Sprintf("the number is in partition %s", orNone(l.Partition))
		}
	}
	return "add it under lines, or correct the number"
}

// issuer refuses an online authority without its address or certificates, and settings that would do nothing.
func (c *checker) issuer(path string, s NodeService) {
	online := s.Issuer == IssuerOnline
	switch {
	case (s.Issuer != IssuerOwn || s.IssuerURL != "" || s.IssuerCertificates != "") && s.Service != ServiceCAPF:
		c.at(path+".issuer", fmt.Sprintf("%s hands out no certificates", s.Service), "remove issuer, issuerURL and issuerCertificates, or move them to capf")
	case online && (s.IssuerURL == "" || s.IssuerCertificates == ""):
		c.at(path+".issuer", "an online authority needs its address and its certificates", "add issuerURL and issuerCertificates")
	case !online && (s.IssuerURL != "" || s.IssuerCertificates != ""):
		c.at(path+".issuerURL", "it is of use with issuer online only", "remove issuerURL and issuerCertificates, or say issuer: online")
	}
}
