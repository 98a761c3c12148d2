package peers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A KamailioConfig is a proxy that stands at the other end of a trunk: it accepts mutual TLS from names it is told, sends
// calls for a prefix to a next hop over mutual TLS, and answers OPTIONS.
type KamailioConfig struct {
	Listen           string // ip:port, TLS
	UDP              string // ip:port without TLS as well, "" for none
	Name             string // what it calls itself
	Certificate, Key string // paths
	CA               string // path
	// Routes are tried in order: a Request-URI user that begins with Prefix goes to Next, a SIP URI. An empty Prefix fits all.
	Routes []KamailioRoute
	// Children is the number of TCP workers; Debian's Kamailio corrupts its heap when several do handshakes at once,
	// so it is 1 unless set.
	Children int
	// Nodes are the call managers of a cluster, in order, as SIP URIs: Cluster goes to the first that answers, OPTIONS say which do,
	// and a call that one of them cannot take goes on to the next.
	Nodes   []string
	Cluster string // what a Request-URI user begins with that goes to Nodes
	// Register makes it a registrar as well: what registers is found by user name when no route fits.
	Register bool
}

// A KamailioRoute is one line of its routing.
type KamailioRoute struct{ Prefix, Next string }

// StartKamailio writes the configuration into dir and returns when the proxy listens.
func StartKamailio(ctx context.Context, dir string, c KamailioConfig) (*Process, error) {
	tls := fmt.Sprintf("[server:default]\nmethod=TLSv1.2+\nverify_certificate=yes\nrequire_certificate=yes\nprivate_key=%s\ncertificate=%s\nca_list=%s\n"+
		"[client:default]\nmethod=TLSv1.2+\nverify_certificate=yes\nrequire_certificate=yes\nprivate_key=%s\ncertificate=%s\nca_list=%s\n",
		c.Key, c.Certificate, c.CA, c.Key, c.Certificate, c.CA)
	if err := os.WriteFile(filepath.Join(dir, "tls.cfg"), []byte(tls), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "dispatcher.list"), []byte(c.dispatched()), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "kamailio.cfg"), []byte(c.script(dir)), 0o600); err != nil {
		return nil, err
	}
	p, err := run(dir, "kamailio", "-f", filepath.Join(dir, "kamailio.cfg"), "-DD", "-E", "-Y", dir, "-m", "64", "-M", "16")
	if err != nil {
		return nil, err
	}
	if err := waitListening(ctx, p, c.Listen); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (c KamailioConfig) script(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `#!KAMAILIO
debug=2
log_stderror=yes
log_facility=LOG_LOCAL0
fork=yes
children=1
tcp_children=%d
enable_tls=yes
alias="%s"
listen=tls:%s
tcp_connection_lifetime=3605
tcp_accept_no_cl=no
mpath="%s"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "sanity.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "ctl.so"
loadmodule "tls.so"
modparam("ctl", "binrpc", "unix:%s")
modparam("tls", "config", "%s")
modparam("rr", "append_fromtag", 0)
modparam("usrloc", "db_mode", 0)
modparam("registrar", "received_avp", "$avp(RECEIVED)")
modparam("nathelper", "received_avp", "$avp(RECEIVED)")
`, orInt(c.Children, 1), c.Name, c.Listen, kamailioModules(), filepath.Join(dir, "ctl.sock"), filepath.Join(dir, "tls.cfg"))
	if c.UDP != "" {
		fmt.Fprintf(&b, "listen=udp:%s\n", c.UDP)
	}
	if len(c.Nodes) > 0 {
		fmt.Fprintf(&b, dispatcherModule, filepath.Join(dir, "dispatcher.list"), c.Name)
	}
	b.WriteString(`request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (!sanity_check("1511", "7")) { exit; }
    if (is_method("OPTIONS") && (uri == myself) && $rU == $null) { sl_send_reply("200", "OK"); exit; }
    if (has_totag()) {
        if (loose_route()) { handle_ruri_alias(); route(RELAY); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not here"); exit;
    }
    if (is_method("CANCEL")) { if (t_check_trans()) { route(RELAY); } exit; }
    t_check_trans();
    if (is_method("INVITE|SUBSCRIBE")) { record_route(); add_contact_alias(); }
`)
	if c.Register {
		b.WriteString("    if (is_method(\"REGISTER\")) { fix_nated_register(); save(\"location\"); exit; }\n")
	}
	if len(c.Nodes) > 0 {
		fmt.Fprintf(&b, "    if ($rU =~ \"^%s\") { route(CLUSTER); exit; }\n", c.Cluster)
	}
	for _, r := range c.Routes {
		if r.Prefix != "" {
			fmt.Fprintf(&b, "    if ($rU =~ \"^%s\") { $du = \"%s\"; route(RELAY); exit; }\n", r.Prefix, r.Next)
		} else {
			fmt.Fprintf(&b, "    if ($rU != $null) { $du = \"%s\"; route(RELAY); exit; }\n", r.Next)
		}
	}
	if c.Register {
		b.WriteString("    if (lookup(\"location\")) { route(RELAY); exit; }\n")
	}
	b.WriteString(`    sl_send_reply("404", "Not Found");
}
reply_route {
    if (is_method("INVITE|SUBSCRIBE")) { add_contact_alias(); }
}
route[RELAY] {
    if (!t_relay()) { sl_reply_error(); }
    exit;
}
`)
	if len(c.Nodes) > 0 {
		b.WriteString(dispatcherRoutes)
	}
	return b.String()
}

// dispatcherModule probes every node each second. A node that is drained answers 503: it counts as one that does not answer.
const dispatcherModule = `loadmodule "dispatcher.so"
modparam("dispatcher", "list_file", "%s")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_probing_threshold", 1)
modparam("dispatcher", "ds_inactive_threshold", 1)
modparam("dispatcher", "ds_ping_reply_codes", "class=2")
modparam("dispatcher", "ds_ping_from", "sip:%s")
modparam("tm", "fr_timer", 1500)
modparam("tm", "failure_exec_mode", 1)
`

// dispatcherRoutes send a call to the nodes in order: algorithm 8 takes the highest priority first.
const dispatcherRoutes = `route[CLUSTER] {
    if (!ds_select_dst("1", "8")) { sl_send_reply("503", "No node answers"); exit; }
    t_on_failure("NEXT");
    route(TRY);
}
route[TRY] {
    if (t_relay()) { exit; }
    if (ds_next_dst()) { t_on_failure("NEXT"); if (t_relay()) { exit; } }
    sl_reply_error();
    exit;
}
failure_route[NEXT] {
    if (t_is_canceled()) { exit; }
    if (t_check_status("408|47[78]|50[03]")) {
        ds_mark_dst("ip");
        if (ds_next_dst()) { t_on_failure("NEXT"); route(TRY); }
    }
}
`

// dispatched is the list of nodes for the dispatcher: set, address, flags, priority.
func (c KamailioConfig) dispatched() string {
	var b strings.Builder
	for i, node := range c.Nodes {
		fmt.Fprintf(&b, "1 %s 0 %d\n", node, 100-i)
	}
	return b.String()
}

// kamailioModules is the folder of modules, which Debian names after the architecture.
func kamailioModules() string {
	if found, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so"); len(found) > 0 {
		return filepath.Dir(found[0]) + "/"
	}
	return "/usr/lib/kamailio/modules/"
}
