package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// patterns checks what is dialled: no two things may claim the same digits in
// one partition.
func (c *checker) patterns() {
	claimed := map[string]string{}
	for _, l := range c.site.Lines {
		claimed[l.Key()] = "a line"
	}
	for i, l := range c.site.Lines {
		for j, n := range l.AlternateDigits() {
			c.claim(claimed, fmt.Sprintf("lines[%d].alternateNumbers[%d]", i, j), n, l.AlternatesIn(), "an alternate number of a line")
		}
	}
	for i, a := range c.site.Applets {
		if a.Number != "" {
			c.claim(claimed, fmt.Sprintf("applets[%d].number", i), a.Number, a.Partition, "an applet")
		}
	}
	for i, p := range c.site.RoutePatterns {
		path := fmt.Sprintf("routePatterns[%d]", i)
		c.pattern(path+".pattern", p.Pattern)
		c.ref(path+".partition", KindPartition, p.Partition, false)
		c.ref(path+".trunk", KindSIPTrunk, p.Trunk, false)
		c.ref(path+".routeList", KindRouteList, p.RouteList, false)
		c.ref(path+".applet", KindApplet, p.Applet, false)
		if n := given(p.Trunk != "", p.RouteList != "", p.Applet != "", p.Block); n != 1 {
			c.at(path, fmt.Sprintf("%d of trunk, routeList, applet and block are given", n), "expected exactly one: where calls to this pattern go")
		}
		if p.Emergency && p.Trunk == "" && p.RouteList == "" {
			c.at(path+".emergency", "emergency calls leave by a trunk", "expected trunk or routeList")
		}
		c.transform(path, p.Pattern, p.Transform)
		c.claim(claimed, path+".pattern", p.Pattern, p.Partition, "a route pattern")
	}
	for i, p := range c.site.TranslationPatterns {
		path := fmt.Sprintf("translationPatterns[%d]", i)
		c.pattern(path+".pattern", p.Pattern)
		c.ref(path+".partition", KindPartition, p.Partition, false)
		c.ref(path+".callingSearchSpace", KindCallingSearchSpace, p.CallingSearchSpace, false)
		c.transform(path, p.Pattern, p.Transform)
		c.claim(claimed, path+".pattern", p.Pattern, p.Partition, "a translation pattern")
	}
	c.features(claimed)
	c.hunting(claimed)
	c.buttons(claimed)
}

func given(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

func (c *checker) claim(claimed map[string]string, path, digits, partition, what string) {
	if digits == "" {
		return
	}
	key := strings.Replace(digits, ".", "", 1) + "/" + partition
	if other, dup := claimed[key]; dup {
		c.at(path, fmt.Sprintf("%q in partition %s is already %s", digits, orNone(partition), other), "expected every number and pattern once in a partition")
	}
	claimed[key] = what
}

func (c *checker) transform(path, pattern string, t Transform) {
	if (t.Discard == DiscardPreDot || t.Discard == DiscardPreDotTrailingPound) && !strings.Contains(pattern, ".") {
		c.at(path+".discard", fmt.Sprintf("%s needs a dot in the pattern", t.Discard), "put a dot where digits are cut, for instance 9.XXXX")
	}
	c.digits(path+".prefix", t.Prefix)
	c.digits(path+".callingPrefix", t.CallingPrefix)
	c.mask(path+".calledMask", t.CalledMask)
	c.mask(path+".callingMask", t.CallingMask)
}

func (c *checker) routes() {
	eachOf(c, "routeGroups", c.site.RouteGroups, func(g RouteGroup) string { return g.Name }, func(path string, g RouteGroup) {
		c.refs(path+".trunks", KindSIPTrunk, g.Trunks, true)
	})
	eachOf(c, "routeLists", c.site.RouteLists, func(l RouteList) string { return l.Name }, func(path string, l RouteList) {
		c.refs(path+".groups", KindRouteGroup, l.Groups, true)
		for i, cause := range l.FailoverCauses {
			if cause < 1 || cause > 127 {
				c.at(fmt.Sprintf("%s.failoverCauses[%d]", path, i), fmt.Sprintf("%d is not a cause", cause), "expected a Q.850 value from 1 to 127")
			}
		}
		c.routeDetails(path, l)
	})
}

func (c *checker) applets() {
	eachOf(c, "applets", c.site.Applets, func(a Applet) string { return a.Name }, func(path string, a Applet) {
		if a.Number != "" {
			c.number(path+".number", a.Number)
		}
		c.ref(path+".partition", KindPartition, a.Partition, false)
		c.ref(path+".musicOnHold", KindMusicOnHold, a.MusicOnHold, false)
		c.within(path+".toneHz", a.ToneHz, 50, 3400)
		if a.ToneHz != 0 && a.Type != AppletTone {
			c.at(path+".toneHz", fmt.Sprintf("has no effect with type %s", a.Type), "expected type tone, or remove it")
		}
		if a.MusicOnHold != "" && a.Type != AppletMusic {
			c.at(path+".musicOnHold", fmt.Sprintf("has no effect with type %s", a.Type), "expected type music, or remove it")
		}
	})
}

// checkNode looks at a node's own configuration.
func checkNode(n *NodeConfig, at func(path, problem, expected string)) {
	c := &checker{at: at}
	if n.Node != "" {
		c.name("node", n.Node)
	}
	if n.Store.DSN != "" && n.Store.DSNFile != "" {
		at("store.dsnFile", "dsn and dsnFile are both given", "expected one of them")
	}
	if i := strings.Index(n.Store.DSN, "://"); i >= 0 && n.Store.DSN[:i] != "postgres" && n.Store.DSN[:i] != "postgresql" {
		at("store.dsn", fmt.Sprintf("%q is not an engine we know", n.Store.DSN[:i]), "expected postgres://..., or the path of an SQLite file")
	}
	for i, u := range n.Bus.URLs {
		if !staysPrivate(u) {
			at(fmt.Sprintf("bus.urls[%d]", i), fmt.Sprintf("%q would cross the network in clear", u), "expected tls://host:4222; nats:// only on loopback")
		}
	}
	if host, _, err := net.SplitHostPort(n.Bus.Listen); n.Bus.Listen != "" && (err != nil || host == "") {
		at("bus.listen", fmt.Sprintf("%q is not an address and a port", n.Bus.Listen), "expected for instance 10.1.2.3:6222 or [2001:db8::1]:6222")
	}
	if n.Bus.Listen != "" && len(n.Bus.URLs) > 0 {
		at("bus.listen", "is of no use with urls: then the bus is elsewhere", "remove one of them")
	}
	if (n.Bus.CertFile == "") != (n.Bus.KeyFile == "") {
		at("bus.certFile", "certFile and keyFile belong together", "expected both or none")
	}
	c.within("store.outboxMiB", n.Store.OutboxMiB, 1, 1<<20)
	c.within("trace.maxMiB", n.Trace.MaxMiB, 1, 1<<20)
	c.between("drainLimit", n.DrainLimit, time.Second, 24*time.Hour)
}

// staysPrivate reports whether a bus URL is protected or does not leave the machine.
func staysPrivate(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "tls" || u.Scheme == "nats" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback())
}
