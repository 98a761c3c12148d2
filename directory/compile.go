package directory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/locktone/locktone/config"
)

// Compile resolves a site that has passed Check. What refers to nothing, which
// such a site does not have, is treated as left out. The site is not modified
// and may be shared.
func Compile(revision int64, s *config.Site) *Directory {
	c := compiler{
		d: &Directory{
			revision: revision, cluster: s.Cluster.WithDefaults(), spaces: map[string][]string{}, subjects: map[subject][]*Trunk{},
			devices: newIndex[*Device](len(s.Devices)), lines: newIndex[*Line](len(s.Lines)),
			trunks: newIndex[*Trunk](len(s.SIPTrunks)), users: newIndex[*User](len(s.Users)),
		},
		pools: byKey(s.DevicePools), groups: byKey(s.CallManagerGroups), phones: byKey(s.PhoneSecurityProfiles),
		sip: byKey(s.SIPProfiles), peers: byKey(s.SIPTrunkSecurityProfiles),
	}
	for _, x := range s.CallingSearchSpaces {
		c.d.spaces[x.Name] = slices.Clone(x.Partitions)
	}
	policies := byKey(s.CredentialPolicies)
	c.d.policy = policies["default"].WithDefaults()
	for _, u := range sorted(s.Users) {
		policy, ok := policies[u.CredentialPolicy]
		if !ok {
			policy = policies["default"]
		}
		c.d.users.add(u.Name, &User{User: u, Policy: policy.WithDefaults()})
	}
	for _, l := range sorted(s.Lines) {
		c.d.lines.add(l.Key(), &Line{Line: l.WithDefaults()})
	}
	for _, x := range sorted(s.Devices) {
		c.device(x)
	}
	for _, t := range sorted(s.SIPTrunks) {
		c.trunk(t)
	}
	c.control()
	return c.d
}

type compiler struct {
	d      *Directory
	pools  map[string]config.DevicePool
	groups map[string]config.CallManagerGroup
	phones map[string]config.PhoneSecurityProfile
	sip    map[string]config.SIPProfile
	peers  map[string]config.SIPTrunkSecurityProfile
}

func byKey[E config.Entity](all []E) map[string]E {
	m := make(map[string]E, len(all))
	for _, e := range all {
		m[e.Key()] = e
	}
	return m
}

func sorted[E config.Entity](all []E) []E {
	return slices.SortedFunc(slices.Values(all), func(a, b E) int { return cmp.Compare(a.Key(), b.Key()) })
}

func (c *compiler) device(x config.Device) {
	v := &Device{
		Device: x.WithDefaults(), Security: c.phones[x.PhoneSecurityProfile].WithDefaults(),
		SIP: c.sip[x.SIPProfile].WithDefaults(), Pool: c.pools[x.DevicePool],
		DigestUser: c.d.users.byName[x.DigestUser], Owner: c.d.users.byName[x.Owner],
	}
	v.Profile = v.Security
	if c.d.cluster.SecurityMode == config.NonSecureCluster {
		v.Security = withoutSecurity(v.Security)
	}
	v.Nodes = slices.Clone(c.groups[v.Pool.CallManagerGroup].Nodes)
	c.d.devices.add(x.Name, v)
	for _, a := range v.Lines {
		line, ok := c.d.Line(a.Number, a.Partition)
		if !ok {
			continue
		}
		app := &Appearance{Appearance: a, Device: v, Line: line, SearchSpace: c.d.SearchSpace(line.CallingSearchSpace, x.CallingSearchSpace)}
		v.Appearances = append(v.Appearances, app)
		line.Appearances = append(line.Appearances, app)
	}
	slices.SortStableFunc(v.Appearances, func(a, b *Appearance) int { return cmp.Compare(a.Index, b.Index) })
	if v.Owner != nil {
		v.Owner.Owns = append(v.Owner.Owns, v)
	}
}

// withoutSecurity is a profile as a non-secure cluster honours it: the phone comes without TLS, whatever its profile says.
func withoutSecurity(p config.PhoneSecurityProfile) config.PhoneSecurityProfile {
	if p.DeviceSecurityMode != config.NonSecure {
		p.DeviceSecurityMode, p.Transport, p.IncomingPort = config.NonSecure, config.TransportDefault, 0
	}
	return p.WithDefaults()
}

func (c *compiler) trunk(t config.SIPTrunk) {
	peer := c.peers[t.SecurityProfile].WithDefaults()
	v := &Trunk{SIPTrunk: t.WithDefaults(c.d.cluster, peer), Security: peer, SIP: c.sip[t.SIPProfile].WithDefaults(),
		Pool: c.pools[t.DevicePool], SearchSpace: c.d.SearchSpace(t.CallingSearchSpace, "")}
	if t.MediaAnchor != config.AnchorAuto {
		v.SIP.MediaAnchor = t.MediaAnchor
	}
	v.Nodes = slices.Clone(c.groups[v.Pool.CallManagerGroup].Nodes)
	c.d.trunks.add(t.Name, v)
	for _, name := range peer.AcceptedSubjects {
		key := subject{strings.ToLower(name), peer.IncomingPort}
		c.d.subjects[key] = append(c.d.subjects[key], v)
	}
}

// control ties users to the devices they are associated with.
func (c *compiler) control() {
	for _, u := range c.d.users.list {
		for _, name := range slices.Sorted(slices.Values(u.Devices)) {
			if dev, ok := c.d.Device(name); ok {
				u.Controls = append(u.Controls, dev)
			}
		}
	}
}
