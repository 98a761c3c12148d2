package config

import (
	"cmp"
	"time"
)

// WithDefaults returns the cluster with every default filled in.
func (c Cluster) WithDefaults() Cluster {
	c.Name = cmp.Or(c.Name, "locktone")
	c.Domain = cmp.Or(c.Domain, "locktone.test")
	c.CallRecordRetention = cmp.Or(c.CallRecordRetention, 400)
	c.CTINewCallAcceptTimer = cmp.Or(c.CTINewCallAcceptTimer, Duration(4*time.Second))
	c.CTIHeartbeatMinimumInterval = cmp.Or(c.CTIHeartbeatMinimumInterval, Duration(5*time.Second))
	c.CTIHeartbeatMaximumInterval = cmp.Or(c.CTIHeartbeatMaximumInterval, Duration(time.Hour))
	c.CTIMaximumDevicesPerProvider = cmp.Or(c.CTIMaximumDevicesPerProvider, 2000)
	c.CTIMaximumConnections = cmp.Or(c.CTIMaximumConnections, 2500)
	c.CTIInstanceIDRetryCount = cmp.Or(c.CTIInstanceIDRetryCount, 3)
	c.CTILoginTimeLimit = cmp.Or(c.CTILoginTimeLimit, Duration(time.Minute))
	c.CTIRequestTimeLimit = cmp.Or(c.CTIRequestTimeLimit, Duration(10*time.Second))
	return c
}

// WithDefaults returns the profile with every default filled in.
func (p PhoneSecurityProfile) WithDefaults() PhoneSecurityProfile {
	p.Transport = defaultTransport(p.Transport, p.DeviceSecurityMode, TransportTCPUDP)
	p.IncomingPort = cmp.Or(p.IncomingPort, defaultPort(p.Transport))
	p.NonceValidity = cmp.Or(p.NonceValidity, Duration(10*time.Minute))
	p.CAPF.RSAKeySize = cmp.Or(p.CAPF.RSAKeySize, 2048)
	p.CAPF.ECKeySize = cmp.Or(p.CAPF.ECKeySize, 256)
	return p
}

// WithDefaults returns the profile with every default filled in.
func (p SIPTrunkSecurityProfile) WithDefaults() SIPTrunkSecurityProfile {
	p.IncomingTransport = defaultTransport(p.IncomingTransport, p.DeviceSecurityMode, TransportTCPUDP)
	p.OutgoingTransport = defaultTransport(p.OutgoingTransport, p.DeviceSecurityMode, TransportTCP)
	p.IncomingPort = cmp.Or(p.IncomingPort, defaultPort(p.IncomingTransport))
	p.NonceValidity = cmp.Or(p.NonceValidity, Duration(10*time.Minute))
	return p
}

func defaultTransport(t Transport, m DeviceSecurityMode, plain Transport) Transport {
	switch {
	case t != TransportDefault:
		return t
	case m == NonSecure:
		return plain
	}
	return TransportTLS
}

func defaultPort(t Transport) int {
	if t == TransportTLS {
		return 5061
	}
	return 5060
}

// WithDefaults returns the profile with every default filled in.
func (p SIPProfile) WithDefaults() SIPProfile {
	o, t, s := &p.OptionsPing, &p.Timers, &p.SessionTimer
	o.IntervalInService = cmp.Or(o.IntervalInService, Duration(60*time.Second))
	o.IntervalOutOfService = cmp.Or(o.IntervalOutOfService, Duration(120*time.Second))
	o.Retries = cmp.Or(o.Retries, 6)
	o.RetryInterval = cmp.Or(o.RetryInterval, Duration(500*time.Millisecond))
	t.T1 = cmp.Or(t.T1, Duration(500*time.Millisecond))
	t.T2 = cmp.Or(t.T2, Duration(4*time.Second))
	t.InviteExpires = cmp.Or(t.InviteExpires, Duration(180*time.Second))
	s.Min = cmp.Or(s.Min, Duration(90*time.Second))
	s.Expires = cmp.Or(s.Expires, Duration(30*time.Minute))
	p.RegisterExpires = cmp.Or(p.RegisterExpires, Duration(time.Hour))
	p.RegisterMinExpires = cmp.Or(p.RegisterMinExpires, Duration(time.Minute))
	return p
}

// WithDefaults returns the trunk with the defaults that depend on its security
// profile and its cluster filled in.
func (t SIPTrunk) WithDefaults(c Cluster, p SIPTrunkSecurityProfile) SIPTrunk {
	t.LocalDomain = cmp.Or(t.LocalDomain, c.WithDefaults().Domain)
	out := make([]Destination, len(t.Destinations))
	for i, d := range t.Destinations {
		if !t.SRV {
			d.Port = cmp.Or(d.Port, defaultPort(p.WithDefaults().OutgoingTransport))
		}
		out[i] = d
	}
	t.Destinations = out
	return t
}

// WithDefaults returns the line with every default filled in.
func (l Line) WithDefaults() Line {
	l.NoAnswerTimeout = cmp.Or(l.NoAnswerTimeout, Duration(60*time.Second))
	return l
}

// WithDefaults returns the device with every default filled in, appearances included.
func (d Device) WithDefaults() Device {
	switch d.Protocol {
	case ProtocolCTIPort:
		d.Model = "CTI Port"
	case ProtocolCTIRoutePoint:
		d.Model = "CTI Route Point"
	}
	d.Model = cmp.Or(d.Model, "softphone")
	out := make([]Appearance, len(d.Lines))
	for i, a := range d.Lines {
		a.Index = cmp.Or(a.Index, i+1)
		a.Label = cmp.Or(a.Label, a.Number)
		a.MaxCalls = cmp.Or(a.MaxCalls, 4)
		a.BusyTrigger = cmp.Or(a.BusyTrigger, min(2, a.MaxCalls))
		out[i] = a
	}
	d.Lines = out
	d.buttons()
	return d
}

// WithDefaults returns the route list with the default failover causes.
func (l RouteList) WithDefaults() RouteList {
	if len(l.FailoverCauses) == 0 {
		l.FailoverCauses = []int{3, 27, 34, 38, 41, 42, 44, 47, 58}
	}
	return l
}

// WithDefaults returns the applet with every default filled in.
func (a Applet) WithDefaults() Applet {
	if a.Type == AppletTone {
		a.ToneHz = cmp.Or(a.ToneHz, 1004)
	}
	return a
}

// Runs reports whether the node runs the service: it lists it, or lists none and the service is not of those that run only where they are
// listed.
func (n Node) Runs(s ServiceName) bool {
	for _, have := range n.Services {
		if have.Service == s {
			return true
		}
	}
	return len(n.Services) == 0 && !s.Apart()
}

// Apart reports whether the service is an element of its own beside the call manager, with an address of its own: it runs only where a
// node lists it.
func (s ServiceName) Apart() bool {
	switch s {
	case ServiceBorder, ServiceCallServer, ServiceVoiceBrowser, ServiceContactCenter:
		return true
	}
	return false
}

// WithDefaults returns the configuration with every default filled in.
func (n NodeConfig) WithDefaults() NodeConfig {
	n.Node = cmp.Or(n.Node, "node1")
	n.Home = cmp.Or(n.Home, "var")
	n.Admin.Socket = cmp.Or(n.Admin.Socket, "admin.sock")
	n.Admin.Address = cmp.Or(n.Admin.Address, "127.0.0.1:8443")
	n.Trace.Folder = cmp.Or(n.Trace.Folder, "trace")
	n.Store.OutboxMiB = cmp.Or(n.Store.OutboxMiB, 1024)
	n.Trace.MaxMiB = cmp.Or(n.Trace.MaxMiB, 1024)
	n.DrainLimit = cmp.Or(n.DrainLimit, Duration(10*time.Second))
	return n
}

// defaultCodes are the feature codes of a new site.
func defaultCodes() (out []FeatureCode) {
	for _, c := range []struct {
		code    string
		feature Feature
	}{{"*30", FeatureConference}, {"*31", FeatureBarge}, {"*34", FeaturePrivacy}, {"*35", FeaturePark}, {"*36", FeatureTakeOver}, {"*37", FeaturePickup},
		{"*38", FeatureGroupPickup}, {"*71", FeatureForwardOff}, {"*72", FeatureForwardAll}, {"*73", FeatureForwardBusy}, {"*74", FeatureForwardNoAnswer},
		{"*75", FeatureForwardUnregistered}, {"*78", FeatureDoNotDisturb}, {"*79", FeatureHuntLogin}, {"*98", FeatureVoicemail}} {
		out = append(out, FeatureCode{Code: c.code, Partition: "features", Feature: c.feature})
	}
	return out
}

// Default is the site a new cluster starts with: one node with every service,
// two soft phones alice (1001) and bob (1002) that must register encrypted,
// test numbers for echo (9196), tone (9197) and music (9664), a code for every
// feature, ten park numbers (7000 to 7009), meet-me conferences (8000 to 8009, and
// 8100 to 8109 for encrypted calls only) and a hunt pilot that rings both
// phones (1000).
func Default(node string) *Site {
	phone := func(name, number string) Device {
		return Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Owner: name, Lines: []Appearance{{Number: number, Partition: "internal", Label: number}}}
	}
	line := func(number, display string) Line {
		return Line{Number: number, Partition: "internal", CallingSearchSpace: "internal", AlertingName: display, Display: display, PickupGroup: "everybody"}
	}
	s := &Site{
		Nodes:                 []Node{{Name: node}},
		CallManagerGroups:     []CallManagerGroup{{Name: "default", Nodes: []string{node}}},
		DevicePools:           []DevicePool{{Name: "default", CallManagerGroup: "default"}},
		PhoneSecurityProfiles: []PhoneSecurityProfile{{Name: "encrypted", Description: "TLS with a client certificate, SRTP required"}},
		SIPProfiles:           []SIPProfile{{Name: "standard"}},
		Partitions:            []Partition{{Name: "internal", Description: "phones"}, {Name: "test", Description: "test numbers"}, {Name: "features", Description: "feature codes, park and meet-me numbers"}},
		CallingSearchSpaces:   []CallingSearchSpace{{Name: "internal", Partitions: []string{"internal", "test", "features"}}},
		Lines:                 []Line{line("1001", "Alice"), line("1002", "Bob")},
		Devices:               []Device{phone("alice", "1001"), phone("bob", "1002")},
		Users:                 []User{{Name: "alice", DisplayName: "Alice", Devices: []string{"alice"}}, {Name: "bob", DisplayName: "Bob", Devices: []string{"bob"}}},
		Applets: []Applet{
			{Name: "echo", Type: AppletEcho, Number: "9196", Partition: "test"},
			{Name: "tone", Type: AppletTone, Number: "9197", Partition: "test"},
			{Name: "music", Type: AppletMusic, Number: "9664", Partition: "test"},
		},
		FeatureCodes:  defaultCodes(),
		ParkNumbers:   []ParkNumber{{Pattern: "700X", Partition: "features"}},
		MeetMeNumbers: []MeetMeNumber{{Pattern: "800X", Partition: "features"}, {Pattern: "810X", Partition: "features", Display: "Encrypted only", MinimumSecurity: MinimumEncrypted}},
		PickupGroups:  []PickupGroup{{Name: "everybody", Number: "1"}},
		HuntPilots:    []HuntPilot{{Pattern: "1000", Partition: "internal", Display: "Everybody", HuntList: "everybody"}},
		HuntLists:     []HuntList{{Name: "everybody", LineGroups: []string{"everybody"}}},
		LineGroups: []LineGroup{{Name: "everybody", Distribution: HuntBroadcast, RingTimeout: Duration(30 * time.Second),
			Members: []LineMember{{Number: "1001", Partition: "internal"}, {Number: "1002", Partition: "internal"}}}},
		MusicOnHold: []MusicOnHold{{Name: "default"}},
	}
	return s.Canonical()
}
