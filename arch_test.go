// Package house holds the tests of the house itself: who may import whom, that every package teaches, that every
// reference to an RFC exists, that files stay short. There is no code of the product in this folder.
package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/locktone/locktone/"

// pkg is what the tests below need of `go list -json`.
type pkg struct {
	ImportPath, Dir, Doc string
	Imports              []string
	GoFiles              []string
}

// packages lists the tree once.
var packages = sync.OnceValues(func() ([]pkg, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "./...").Output()
	if err != nil {
		return nil, err
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// A rule says what the packages under a path may import. The rule with the longest path that fits is the one in force.
type rule struct {
	path  string   // relative to the module; "wire" covers wire and everything below it
	own   []string // packages of ours it may import, each with everything below it; its own subtree is always allowed
	third []string // modules of others
	std   []string // nil: the whole standard library; otherwise only these
}

// pure is the part of the standard library that has no clock, no network, no operating system and no goroutines. The
// package time is allowed for its types; time.Now is forbidden by TestPureHasNoClock.
var pure = []string{"bytes", "cmp", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash/fnv", "iter", "maps", "math", "math/bits", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8"}

// rings is the architecture: docs/architecture.md, section 1, as a table.
var rings = []rule{
	{path: "wire", own: []string{"wire"}, third: []string{"github.com/pion/rtp", "github.com/pion/rtcp", "github.com/pion/srtp/v3", "github.com/pion/sdp/v3", "github.com/emiago/sipgo/sip"}},
	{path: "wire/sip/resolve", own: []string{"wire"}, third: []string{"golang.org/x/net/dns/dnsmessage"}}, // the standard resolver knows no NAPTR
	{path: "dialplan", std: pure},
	{path: "call", own: []string{"dialplan"}, std: pure},
	{path: "call/live", own: []string{"call", "bus", "trace", "dialplan"}},
	{path: "media/desc", own: []string{"wire/sdp"}, std: pure},
	{path: "media", own: []string{"wire/sdp", "wire/srtp", "media"}, third: []string{"github.com/pion/rtp", "github.com/pion/rtcp", "github.com/pion/srtp/v3", "golang.org/x/sys"}},
	{path: "applet", own: []string{"call", "media"}},
	{path: "leg", own: []string{"wire", "call", "media", "trace", "applet"}},
	{path: "pki", own: []string{"store", "wire/trustlist", "wire/sip"}, third: []string{"golang.org/x/sync"}},
	{path: "pki/lists", own: []string{"pki", "store", "config", "bus", "wire"}},
	{path: "pki/capfprofile", own: []string{"pki", "store", "config", "bus", "wire"}, third: []string{"golang.org/x/crypto"}},
	{path: "pki/truststore", own: []string{"pki", "store", "config", "bus", "wire"}},
	{path: "pki/rotation", own: []string{"pki", "store", "config", "bus", "wire"}},
	{path: "pki/custody", own: []string{"pki", "store", "config", "bus", "wire"}},
	{path: "pki/join", own: []string{"pki", "store", "config", "bus", "wire"}},
	{path: "pki/certfile", own: []string{"pki", "wire"}, third: []string{"software.sslmate.com/src/go-pkcs12"}},
	{path: "enroll", own: []string{"wire"}, third: []string{"github.com/pin/tftp/v3"}},
	{path: "cti", own: []string{"wire", "enroll"}},
	{path: "cti/examples", own: []string{"cti", "wire", "media"}}, // applications with media of their own: the client itself has none
	{path: "store", own: []string{"config", "directory", "pki", "bus"}, third: []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5", "github.com/pressly/goose/v3", "github.com/prometheus/client_golang"}},
	{path: "backup", own: []string{"config", "store", "wire/secret"}, third: []string{"golang.org/x/crypto"}},
	{path: "bus", third: []string{"github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2"}},
	{path: "bus/board", std: pure},
	{path: "config", own: []string{"contact/expression"}, third: []string{"github.com/goccy/go-yaml", "golang.org/x/crypto"}}, // conditions in a site file are checked where they stand
	{path: "directory", own: []string{"store", "wire", "pki", "config"}},
	{path: "directory/ldap", own: []string{"store", "wire", "pki", "config", "directory"}, third: []string{"github.com/go-ldap/ldap/v3"}},
	{path: "directory/login", own: []string{"store", "wire", "pki", "config", "directory", "trace", "bus"}, third: []string{"golang.org/x/crypto"}},
	{path: "trace", own: []string{"wire", "call", "dialplan"}},
	{path: "contact", own: []string{"call"}, std: pure},
	{path: "element", own: []string{"leg", "call", "applet", "dialplan", "directory", "media", "pki", "store", "bus", "trace", "config", "wire"},
		third: []string{"github.com/prometheus/client_golang", "golang.org/x/sync"}},
	{path: "service", own: []string{"leg", "call", "applet", "contact", "dialplan", "directory", "element", "media", "pki", "store", "bus", "trace", "config", "wire"},
		third: []string{"github.com/danielgtaylor/huma/v2", "github.com/prometheus/client_golang", "golang.org/x/sync", "golang.org/x/crypto", "github.com/goccy/go-yaml",
			"github.com/pin/tftp/v3"}},
	{path: "service/callserver/routing", own: []string{"call", "contact"}, std: pure},
	{path: "service/border/dialpeer", own: []string{"call", "dialplan"}, std: with(pure, "regexp")}, // translations are expressions; matching is pure
	{path: "service/voicebrowser/interpreter", own: []string{"wire"}, third: []string{"github.com/dop251/goja"}},
	{path: "service/contactcenter", own: []string{"call", "contact", "dialplan", "cti", "directory", "enroll", "pki", "store", "bus", "trace", "config", "wire"}, // agents' phones are reached as any application reaches them
		third: []string{"github.com/coder/websocket", "github.com/danielgtaylor/huma/v2", "github.com/prometheus/client_golang", "golang.org/x/sync", "golang.org/x/crypto"}},
	{path: "service/contactcenter/center", own: []string{"call", "contact", "dialplan"}, std: pure}, // dialplan: business hours
	{path: "service/ctimanager/projection", own: []string{"call", "wire/ctiqbe", "dialplan"}, std: pure},
	{path: "service/ctimanager", own: []string{"leg", "call", "directory", "media/sealed", "pki", "store", "bus", "trace", "config", "wire"},
		third: []string{"github.com/coder/websocket", "github.com/prometheus/client_golang", "golang.org/x/sync", "golang.org/x/crypto"}},
	{path: "lab", own: []string{""}, third: []string{"*"}},
	{path: "cmd", own: []string{""}, third: []string{"*"}},
	{path: "scripts"},
	{path: "rfc"},
}

func TestImportRings(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		rel := strings.TrimPrefix(p.ImportPath+"/", module)
		rel = strings.TrimSuffix(rel, "/")
		if rel == "" {
			continue
		}
		r, found := ruleFor(rel)
		if !found {
			t.Errorf("%s stands in no ring: put it where it belongs, or add a line to rings with the reason in an ADR", rel)
			continue
		}
		for _, imp := range p.Imports {
			if why := r.refuses(rel, imp); why != "" {
				t.Errorf("%s imports %s: %s", rel, strings.TrimPrefix(imp, module), why)
			}
		}
	}
}

func ruleFor(rel string) (best rule, found bool) {
	for _, r := range rings {
		if under(rel, r.path) && len(r.path) >= len(best.path) {
			best, found = r, true
		}
	}
	return best, found
}

// under reports whether the package rel is path or stands below it; "" is the whole module.
func under(rel, path string) bool {
	return path == "" || rel == path || strings.HasPrefix(rel, path+"/")
}

func (r rule) refuses(from, imp string) string {
	if own, ours := strings.CutPrefix(imp, module); ours {
		if from == own || under(own, r.path) && !otherService(from, own) {
			return ""
		}
		for _, ok := range r.own {
			if under(own, ok) && !otherService(from, own) {
				return ""
			}
		}
		return "its ring may import of ours only " + strings.Join(r.own, ", ")
	}
	if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		if r.std == nil || contains(r.std, imp) {
			return ""
		}
		return "this ring is pure"
	}
	for _, ok := range r.third {
		if ok == "*" || imp == ok || strings.HasPrefix(imp, ok+"/") {
			return ""
		}
	}
	return "its ring may not use this module"
}

// otherService reports an import from one service into another: services meet over wire, store and bus.
func otherService(from, to string) bool {
	f, t := strings.Split(from, "/"), strings.Split(to, "/")
	return f[0] == "service" && t[0] == "service" && len(f) > 1 && len(t) > 1 && f[1] != t[1]
}

// with is a sorted list with a few more.
func with(list []string, more ...string) []string {
	all := append(append([]string{}, list...), more...)
	sort.Strings(all)
	return all
}

func contains(list []string, s string) bool {
	i := sort.SearchStrings(list, s)
	return i < len(list) && list[i] == s
}
