package capf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/pki/capfprofile"
	wire "github.com/locktone/locktone/wire/capf"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Scripts in testdata/machine: each block is one session. Lines before ---- are what the test feeds, lines after it what
// the machine does. Lines:
//
//	auth version=3 device=SEP1 [reason=7]    AUTH_RES
//	hex 5502...                              any message, its session id replaced by the session's (hex! keeps it)
//	decide install|delete|troubleshoot|none [order=..] [rsa=..] [ec=..]
//	refuse 9
//	key rsa2048|p256|p384 [reason=0]         KEYGEN_RES
//	progress, status                         REQUEST_IN_PROGRESS, STATUS_RES
//	issue | issue waiting | issue Cause
//	store 1, delete 1, fetch 1               the client's answers with a reason
//	noted [error]
//	close, malformed
//	wait 20s                                 time passes; the deadline is kept
func TestMachineScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/machine/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for i, block := range strings.Split(strings.TrimSpace(string(b)), "\n\n") {
				in, _, _ := strings.Cut(block, "\n----")
				if i > 0 {
					out.WriteString("\n\n")
				}
				out.WriteString(in + "\n----\n" + folded(runScript(t, in)))
			}
			out.WriteString("\n")
			if *update {
				if err := os.WriteFile(f, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != string(b) {
				t.Errorf("%s differs (-update writes it anew):\n%s", f, out.String())
			}
		})
	}
}

// folded writes lines that repeat once, with their number.
func folded(text string) string {
	var out []string
	n := 1
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if len(out) > 0 && l == strings.TrimSuffix(out[len(out)-1], fmt.Sprintf(" (%d times)", n)) && strings.HasPrefix(l, "S ") {
			n++
			out[len(out)-1] = fmt.Sprintf("%s (%d times)", l, n)
			continue
		}
		n = 1
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

const scriptSession = 7

func runScript(t *testing.T, script string) string {
	t.Helper()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	m, out := newMachine(scriptSession, Times{}, now)
	var log strings.Builder
	log.WriteString(render(out))
	for _, line := range strings.Split(script, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "wait" {
			d, err := time.ParseDuration(rest)
			if err != nil {
				t.Fatal(err)
			}
			for end := now.Add(d); ; {
				if at := m.Deadline(); at.IsZero() || at.After(end) {
					now = end
					break
				} else {
					now = at
				}
				log.WriteString(render(m.Step(now, nil)))
			}
			continue
		}
		in := scriptInput(t, word, rest)
		log.WriteString("> " + line + "\n" + render(m.Step(now, in)))
	}
	return log.String()
}

//house:flat
func scriptInput(t *testing.T, word, rest string) input {
	t.Helper()
	args := map[string]string{}
	for _, f := range strings.Fields(rest) {
		k, v, _ := strings.Cut(f, "=")
		args[k] = v
	}
	number := func(k string, def int) int {
		if args[k] == "" {
			return def
		}
		n, err := strconv.Atoi(args[k])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first, _, _ := strings.Cut(rest, " ")
	reason := func() wire.Reason {
		n, err := strconv.Atoi(first)
		if err != nil {
			t.Fatalf("%s %q: %v", word, rest, err)
		}
		return wire.Reason(n)
	}
	msg := func(m wire.Message) input { return received{message: m} }
	switch word {
	case "auth":
		r := wire.AuthResponse{Version: uint8(number("version", 3)), Device: args["device"], Reason: wire.Reason(number("reason", 1)), Password: wire.NewSecret(args["password"])}
		return msg(r.Message(scriptSession))
	case "hex", "hex!":
		b, err := hex.DecodeString(rest)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if word == "hex" {
			m.Session = scriptSession
		}
		return msg(m)
	case "decide":
		p := capfprofile.Profile{RSAKeySize: number("rsa", 2048), ECKeySize: number("ec", 256)}
		for _, x := range []struct {
			text string
			to   interface{ UnmarshalText([]byte) error }
		}{{first, &p.Operation}, {args["order"], &p.Order}} {
			if x.text == "" {
				continue
			}
			if err := x.to.UnmarshalText([]byte(x.text)); err != nil {
				t.Fatal(err)
			}
		}
		return decided{profile: p}
	case "refuse":
		return decided{refused: true, reason: reason()}
	case "key":
		return msg(wire.KeygenResponse{Reason: wire.Reason(number("reason", 1)), PublicKey: testKey(t, first)}.Message(scriptSession))
	case "progress":
		return msg(wire.InProgress{}.Message(scriptSession))
	case "status":
		return msg(wire.Message{Command: wire.CommandStatusResponse, Session: scriptSession})
	case "issue":
		switch rest {
		case "":
			return issued{certificate: testCertificate(t)}
		case "waiting":
			return issued{waiting: true}
		}
		return issued{cause: capfprofile.Cause(rest)}
	case "store":
		return msg(wire.StoreResponse{Reason: reason()}.Message(scriptSession))
	case "delete":
		return msg(wire.DeleteResponse{Reason: reason()}.Message(scriptSession))
	case "fetch":
		return msg(wire.FetchResponse{Reason: reason(), Certificates: []wire.Certificate{{Type: wire.CertLSC, DER: testCertificate(t).Raw}}}.Message(scriptSession))
	case "noted":
		if rest != "" {
			return noted{errors.New(rest)}
		}
		return noted{}
	case "close":
		return closed{}
	case "malformed":
		return received{err: &wire.ParseError{Offset: 6, What: "a body of 65535 octets is longer than allowed"}}
	}
	t.Fatalf("no word %q", word)
	return nil
}

func render(out []output) string {
	var b strings.Builder
	for _, o := range out {
		switch o := o.(type) {
		case send:
			raw, _ := o.message.Append(nil)
			text := hex.EncodeToString(raw)
			if o.message.Command == wire.CommandStoreRequest { // signatures differ in length
				r, err := wire.ParseStoreRequest(o.message)
				text = fmt.Sprintf("%d elements, %s, count %d, whole certificate: %v", len(o.message.Elements), r.Certificate.Type, o.message.Elements[1].Value[0], err == nil && len(r.Certificate.DER) > 100)
			}
			fmt.Fprintf(&b, "S %s %s\n", o.message.Command, text)
		case authenticate:
			fmt.Fprintf(&b, "authenticate %s version %d\n", o.response.Device, o.response.Version)
		case issue:
			fmt.Fprintf(&b, "issue for %T\n", o.key)
		case failed:
			fmt.Fprintf(&b, "failed %q: %s\n", string(o.cause), o.why)
		case noteFetched:
			fmt.Fprintf(&b, "noteFetched %d\n", len(o.certificates))
		default:
			fmt.Fprintf(&b, "%s\n", strings.TrimPrefix(fmt.Sprintf("%T", o), "capf."))
		}
	}
	return b.String()
}

var testKeys = struct {
	sync.Mutex
	m map[string][]byte
}{m: map[string][]byte{}}

// testKey is a public key, made once.
func testKey(t *testing.T, kind string) []byte {
	t.Helper()
	testKeys.Lock()
	defer testKeys.Unlock()
	if der := testKeys.m[kind]; der != nil {
		return der
	}
	var pub any
	switch kind {
	case "none":
		return nil
	case "p256":
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		pub = k.Public()
	case "p384":
		k, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		pub = k.Public()
	case "rsa2048", "rsa1024":
		bits := 2048
		if kind == "rsa1024" {
			bits = 1024
		}
		k, err := rsaKey(bits)
		if err != nil {
			t.Fatal(err)
		}
		pub = k.Public()
	case "e1", "e2", "even":
		k, err := rsaKey(2048)
		if err != nil {
			t.Fatal(err)
		}
		p := k.PublicKey
		switch kind {
		case "e1":
			p.E = 1
		case "e2":
			p.E = 2
		default:
			p.N = new(big.Int).Sub(p.N, big.NewInt(1))
		}
		pub = &p
	default:
		t.Fatalf("no key %q", kind)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	testKeys.m[kind] = der
	return der
}

func testCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "SEP1"}}
	der, err := x509.CreateCertificate(bytes.NewReader(make([]byte, 1024)), tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// FuzzMachine: whatever arrives, the machine ends in bounded time, never grants without a decision, and never sends
// END_SESSION 1 before the outcome was noted.
func FuzzMachine(f *testing.F) {
	seed := func(ms ...wire.Message) {
		var b []byte
		for _, m := range ms {
			b, _ = m.Append(b)
		}
		f.Add(b, uint8(1))
	}
	seed(wire.AuthResponse{Version: 3, Device: "SEP1", Reason: 1}.Message(1), wire.StoreResponse{Reason: 1}.Message(1))
	seed(wire.AuthResponse{Version: 1, Device: "CTI-5", Reason: 1}.Message(1), wire.KeygenResponse{Reason: 1, PublicKey: []byte{1}}.Message(1))
	f.Fuzz(func(t *testing.T, stream []byte, op uint8) {
		now := time.Unix(1_800_000_000, 0)
		m, _ := newMachine(1, Times{}, now)
		r := bytes.NewReader(stream)
		stored := false
		for range 64 {
			msg, err := wire.Read(r, 0)
			var in input = received{message: msg}
			if err != nil {
				in = closed{err}
			}
			for _, o := range m.Step(now, in) {
				switch o := o.(type) {
				case authenticate:
					m.Step(now, decided{profile: capfprofile.Profile{Operation: capfprofile.Operation(op % 4), RSAKeySize: 2048, ECKeySize: 256}})
				case noteStored, noteDeleted, noteFetched:
					stored = true
					for _, o := range m.Step(now, noted{}) {
						_ = o
					}
				case send:
					if o.message.Command == wire.CommandEndSession {
						if e, err := wire.ParseEndSession(o.message); err != nil || e.Reason == wire.ReasonOK && !stored {
							t.Fatalf("END_SESSION 1 before the store: %v %v", e, err)
						}
					}
				}
			}
		}
		for now = now.Add(24 * time.Hour); m.state != ended; now = now.Add(time.Hour) {
			m.Step(now, nil)
		}
	})
}
