package site

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// exceptions are what this node's configuration leaves weaker than the defaults: the ways to the record and to the bus.
func (s *Site) exceptions() []bus.Exception { return nodeExceptions(s.opt.Home, s.node) }

func nodeExceptions(home string, node config.NodeConfig) (rows []bus.Exception) {
	add := func(setting, value, normal, risk string) {
		rows = append(rows, bus.Exception{Node: node.Node, Kind: "node", Name: node.Node, Setting: setting, Value: value, Default: normal, From: "node.yaml", Risk: risk})
	}
	setting := "store.dsn"
	if node.Store.DSNFile != "" {
		setting = "store.dsnFile"
		if info, err := os.Stat(within(home, node.Store.DSNFile)); err == nil && info.Mode().Perm()&0o077 != 0 {
			add(setting, fmt.Sprintf("mode %04o", info.Mode().Perm()), "mode 0600", "other users of this machine can read the password of the record")
		}
	}
	if dsn, err := node.DSN(home); err == nil {
		if value, risk, err := store.Exposed(dsn); err == nil && value != "" {
			add(setting, value, "verify-full", risk)
		}
	}
	if value := busInClear(node.Bus); value != "" {
		add("bus.urls", value, "tls://", "whoever is on the way can say and hear everything that nodes tell each other: who is registered, which calls are up, requests to end and divert them")
	}
	return rows
}

// busInClear names the servers of an operator's NATS cluster that are reached without TLS over a network. With one URL of scheme tls the
// client insists on TLS with all of them.
func busInClear(c config.BusConfig) string {
	if slices.ContainsFunc(c.URLs, overTLS) {
		return ""
	}
	var hosts []string
	for _, u := range c.URLs {
		if host := bus.Host(u); !loopback(host) && !strings.HasPrefix(u, "wss://") {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ", ")
}

func overTLS(url string) bool { return strings.HasPrefix(url, "tls://") }

// loopback reports whether host[:port] is this machine, without asking a name server.
func loopback(at string) bool {
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		host = strings.Trim(at, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
