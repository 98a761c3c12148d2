package media

import (
	"encoding/base64"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/wire/sdp"
)

var update = flag.Bool("update", false, "write the outputs of golden files anew")

// The files in testdata/plane are call flows as the plane sees them. A block is a command, what goes with it, a line of
// dashes and what came of it; a block that begins with # is prose. The commands:
//
//	leg A required|optional|forbidden [anchor]     a leg and its policy
//	put A offer|answer                             the peer of A sent this description
//	make B direct|anchored|auto|source N|NAME [dir] [rtp|srtp]   what the peer of B is sent: description N, or a source
//	local A [hold]   again A   rollback A   show A   remove A
//
// Keys are written {name}; ours are {plane1} and so on. Session ids and ports of ours become ID and PORT1, versions +n.
func TestPlaneFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/plane/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no flows", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { golden(t, f) })
	}
}

func golden(t *testing.T, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := newScript(t)
	var out []string
	for _, block := range strings.Split(strings.TrimSpace(string(b)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			out = append(out, block)
			continue
		}
		in, _, _ := strings.Cut(block, "\n----")
		out = append(out, in+"\n----\n"+f.run(in))
	}
	f.p.Close()
	if n := f.ports.InUse(); n != 0 {
		t.Errorf("%d pairs of ports are still in use after Close", n)
	}
	got := strings.Join(out, "\n\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(b) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

type script struct {
	t     *testing.T
	p     *Plane
	ports *rtpport.Range
	legs  map[string]LegID
	keys  map[string]string // base64 to name
	first map[string]uint64 // session id to first version
	label map[string]int    // session id to its number
	port  map[string]string // ours to PORTn
	made  int
}

func newScript(t *testing.T) *script {
	ports, err := rtpport.New(44000, 45999)
	if err != nil {
		t.Fatal(err)
	}
	f := &script{t: t, ports: ports, legs: map[string]LegID{}, keys: map[string]string{}, first: map[string]uint64{}, label: map[string]int{}, port: map[string]string{}}
	f.p = NewPlane(PlaneConfig{Announce: netip.MustParseAddr("198.51.100.1"), Ports: ports, Keys: f})
	t.Cleanup(f.p.Close)
	return f
}

// Key makes our keys countable.
func (f *script) Key(s sdp.Suite) (sdp.Key, error) {
	f.made++
	return sdp.NewKey(s, f.octets("plane"+strconv.Itoa(f.made), s))
}

func (f *script) octets(name string, s sdp.Suite) []byte {
	n := s.KeyLen() + s.SaltLen()
	b := []byte(strings.Repeat(name+".", n))[:n]
	f.keys[base64.StdEncoding.EncodeToString(b)] = name
	return b
}

var (
	reName   = regexp.MustCompile(`(\S+) inline:\{(\w+)\}`)
	reInline = regexp.MustCompile(`inline:([A-Za-z0-9+/=]+)`)
	reOrigin = regexp.MustCompile(`(?m)^o=- (\d+) (\d+) `)
	reOurs   = regexp.MustCompile(`\b4[45]\d\d\d\b`)
)

func (f *script) expand(text string) string {
	return reName.ReplaceAllStringFunc(text, func(m string) string {
		x := reName.FindStringSubmatch(m)
		suite, ok := sdp.ParseSuite(x[1])
		if !ok {
			suite = sdp.AES_CM_128_HMAC_SHA1_80
		}
		return x[1] + " inline:" + base64.StdEncoding.EncodeToString(f.octets(x[2], suite))
	})
}

func (f *script) collapse(text string) string {
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\r\n"), "\r\n", "\n")
	text = reInline.ReplaceAllStringFunc(text, func(m string) string {
		return "inline:{" + f.keys[strings.TrimPrefix(m, "inline:")] + "}"
	})
	text = reOrigin.ReplaceAllStringFunc(text, func(m string) string {
		x := reOrigin.FindStringSubmatch(m)
		v, _ := strconv.ParseUint(x[2], 10, 64)
		if _, ok := f.first[x[1]]; !ok {
			f.first[x[1]], f.label[x[1]] = v, len(f.label)+1
		}
		return fmt.Sprintf("o=- ID%d +%d ", f.label[x[1]], v-f.first[x[1]])
	})
	return reOurs.ReplaceAllStringFunc(text, func(m string) string {
		if f.port[m] == "" {
			f.port[m] = fmt.Sprint("PORT", len(f.port)+1)
		}
		return f.port[m]
	})
}

func (f *script) run(in string) string {
	head, body, _ := strings.Cut(in, "\n")
	words := strings.Fields(head)
	id := f.legs[words[1]]
	switch words[0] {
	case "leg":
		f.legs[words[1]] = LegID(len(f.legs) + 1)
		sec := map[string]desc.Security{"required": desc.Required, "optional": desc.Optional, "forbidden": desc.Forbidden}[words[2]]
		f.p.AddLeg(f.legs[words[1]], Profile{Security: sec, Anchor: len(words) > 3})
		return "ok"
	case "put":
		kind := map[string]Kind{"offer": Offer, "answer": Answer}[words[2]]
		ref, sum, err := f.p.Put(id, kind, []byte(strings.ReplaceAll(f.expand(body), "\n", "\r\n")+"\r\n"))
		if err != nil {
			return problem(err)
		}
		s := fmt.Sprintf("%d: %v, %v, %v %v, %v, to %v, %v", ref, sum.Kind, sum.Direction, [...]string{"rtp", "srtp if possible", "srtp"}[sum.Security], sum.Suites, sum.Codecs, sum.Addr, sum.Media)
		if sum.Hold {
			s += ", hold"
		}
		return s
	case "make":
		text, kind, err := f.p.Make(id, f.order(words[2:]))
		return f.made_(kind.String(), text, err)
	case "local":
		text, err := f.p.AnswerLocal(id, len(words) > 2)
		return f.made_("answer", text, err)
	case "again":
		text, err := f.p.OfferAgain(id)
		return f.made_("offer", text, err)
	case "rollback":
		f.p.Rollback(id)
		return "ok"
	case "remove":
		f.p.RemoveLeg(id)
		return fmt.Sprintf("%d pairs of ports in use", f.ports.InUse())
	case "show":
		m, _ := f.p.Show(id)
		return fmt.Sprintf("%s %v %s %s %s", m.Treatment, [...]string{"rtp", "", "srtp"}[m.Protection], m.Suite, m.Codec, m.Source)
	}
	f.t.Fatalf("unknown command %q", head)
	return ""
}

func (f *script) made_(kind string, text []byte, err error) string {
	if err != nil {
		return problem(err)
	}
	return kind + "\n" + f.collapse(string(text))
}

func problem(err error) string {
	if r, ok := err.(*desc.Refusal); ok {
		return fmt.Sprintf("%d, warning %d: %s", r.Status(), r.Code, r.Text)
	}
	return fmt.Sprintf("error: %v", err)
}

func (f *script) order(words []string) Order {
	o := Order{Dir: sdp.SendRecv}
	o.Treatment = map[string]Treatment{"direct": Direct, "anchored": Anchored, "auto": Auto, "source": Sourced}[words[0]]
	for _, w := range words[1:] {
		if n, err := strconv.Atoi(w); err == nil {
			o.Ref = Ref(n)
			continue
		}
		switch w {
		case "answer":
			o.Kind = Answer
		case "sendonly":
			o.Dir = sdp.SendOnly
		case "recvonly":
			o.Dir = sdp.RecvOnly
		case "inactive":
			o.Dir = sdp.Inactive
		case "rtp":
			o.Security = WantRTP
		case "srtp":
			o.Security = WantSRTP
		case "silence":
		default:
			if id, ok := f.legs[w]; ok {
				o.Peer = id
			} else {
				o.Source = w
			}
		}
	}
	return o
}
