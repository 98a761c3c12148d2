package capf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// replay plays the server's side of a dialogue and compares every message of the client with the one recorded.
func replay(t *testing.T, cfg ClientConfig, frames []frame) Result {
	t.Helper()
	c, queue, ended := NewClient(cfg, start), []Output{}, (*Result)(nil)
	for i, f := range frames {
		m, err := Decode(f.bytes)
		if err != nil {
			t.Fatal(err)
		}
		if f.server {
			queue = append(queue, c.Step(start, Received{m})...)
		} else if len(queue) == 0 {
			t.Fatalf("frame %d: the client is silent where %v was recorded", i, m)
		} else {
			send, ok := queue[0].(Send)
			if got, err := send.Message.Append(nil); !ok || err != nil || !bytes.Equal(got, f.bytes) {
				t.Fatalf("frame %d: the client sends\n%x %v\nrecorded\n%x", i, got, queue[0], f.bytes)
			}
			queue = queue[1:]
		}
		for len(queue) > 0 {
			in, waits := act(t, queue[0], frames[i+1:])
			if waits {
				break
			}
			if d, ok := queue[0].(Done); ok {
				ended = &d.Result
			}
			queue = append(queue[1:], c.Step(start, in)...)
		}
	}
	if ended == nil {
		t.Fatal("the session did not end")
	}
	return *ended
}

// act does what the client asks with what was recorded; waits means that the output is a message to compare.
func act(t *testing.T, out Output, rest []frame) (in Input, waits bool) {
	t.Helper()
	next := func(cmd Command) Message {
		for _, f := range rest {
			if m, _ := Decode(f.bytes); m.Command == cmd {
				return m
			}
		}
		t.Fatalf("no %v recorded", cmd)
		return Message{}
	}
	switch out.(type) {
	case Generate:
		r, err := ParseKeygenResponse(next(CommandKeygenResponse))
		return Generated{PublicKey: r.PublicKey, Err: err}, false
	case Prove:
		r, err := ParseAuthResponse(next(CommandAuthResponse))
		return Proved{SHA1: r.SHA1, SHA2: r.SHA2, SUDI: r.SUDI, Err: err}, false
	case Store:
		return Stored{}, false
	case Delete:
		return Deleted{}, false
	case Done:
		return nil, false
	}
	return nil, true
}

// sent is what the recorded client said about itself.
func sent(t *testing.T, frames []frame) AuthResponse {
	t.Helper()
	for _, f := range frames {
		if m, _ := Decode(f.bytes); m.Command == CommandAuthResponse {
			r, err := ParseAuthResponse(m)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
	}
	t.Fatal("no AUTH_RES")
	return AuthResponse{}
}

// TestGoldenDialogues: our client in the place of the recorded one sends the same octets, in all nine dialogues of a phone
// and in that of a JTAPI client.
func TestGoldenDialogues(t *testing.T) {
	for _, c := range []struct {
		log, device, password string
		operation             Operation
		reason                Reason
		err                   error
	}{
		{"capf-install-password-rsa2048.log", "SEP0000000000A1", "123456", OperationInstall, ReasonOK, nil},
		{"capf-install-null-rsa2048.log", "SEP0000000000A2", "", OperationInstall, ReasonOK, nil},
		{"capf-install-null-ec384.log", "SEP0000000000A3", "", OperationInstall, ReasonOK, nil},
		{"capf-install-certauth-lsc.log", "SEP0000000000A2", "", OperationInstall, ReasonOK, nil},
		{"capf-fetch.log", "SEP0000000000A2", "", OperationFetch, ReasonNone, nil},
		{"capf-delete.log", "SEP0000000000A2", "", OperationDelete, ReasonOK, nil},
		{"capf-no-operation.log", "SEP0000000000A2", "", OperationNone, ReasonNone, nil},
		{"capf-unknown-device.log", "SEP0000000000FF", "", OperationNone, ReasonUnknown, ErrRefused},
		{"capf-wrong-password.log", "SEP0000000000A6", "999999", OperationNone, ReasonRefused, ErrRefused},
	} {
		frames := dialogue(t, c.log)
		cfg := ClientConfig{Device: c.device, Password: NewSecret(c.password), Existing: sent(t, frames).Certificates}
		if c.operation == OperationFetch {
			cfg.Held = fetched(t, frames)
		}
		got := replay(t, cfg, frames)
		if got.Operation != c.operation || got.Reason != c.reason || !errors.Is(got.Err, c.err) || (c.err == nil) != (got.Err == nil) {
			t.Errorf("%s: %+v", c.log, got)
		}
	}
	var frames []frame
	for _, name := range []string{"01-s", "02-c", "03-s", "04-c", "05-s", "06-c", "07-s"} {
		frames = append(frames, frame{strings.HasSuffix(name, "s"), hexFile(t, "jtapi/capf-ok-"+name+".hex")})
	}
	got := replay(t, ClientConfig{Device: "CTI-inst1", Password: NewSecret("1234567890"), Version: VersionJTAPI}, frames)
	if got.Operation != OperationInstall || got.Err != nil {
		t.Errorf("JTAPI: %+v", got)
	}
}

func fetched(t *testing.T, frames []frame) []Certificate {
	t.Helper()
	for _, f := range frames {
		if m, _ := Decode(f.bytes); m.Command == CommandFetchResponse {
			r, err := ParseFetchResponse(m)
			if err != nil {
				t.Fatal(err)
			}
			return r.Certificates
		}
	}
	return nil
}

// TestCallManagerShape: the order of elements and the missing ones of a real call manager and a soft client.
func TestCallManagerShape(t *testing.T) {
	v := vectors(t)
	c := NewClient(ClientConfig{Device: "CSFJDOE", Version: VersionJabber}, start)
	for _, step := range []struct {
		server string
		client string
	}{{"shape S>C AUTH_REQ", "shape C>S AUTH_RES (no password)"}, {"shape S>C KEYGEN_REQ RSA2048", ""}} {
		m, err := Decode(v[step.server])
		if err != nil {
			t.Fatal(step.server, err)
		}
		out := c.Step(start, Received{m})
		if len(out) != 1 {
			t.Fatalf("%s: %v", step.server, out)
		}
		if send, ok := out[0].(Send); ok {
			if got, _ := send.Message.Append(nil); !bytes.Equal(got, v[step.client]) {
				t.Errorf("the client sends\n%x, want\n%x", got, v[step.client])
			}
		} else if g, ok := out[0].(Generate); !ok || g.Order.Type != KeyRSA || g.Order.Size != 2048 {
			t.Errorf("%v", out[0])
		}
	}
}

// session drives a client to a state: after AUTH_RES, or after KEYGEN_RES.
func session(t *testing.T, cfg ClientConfig, keyed bool) *Client {
	t.Helper()
	c := NewClient(cfg, start)
	c.Step(start, Received{AuthRequest{Version: 3}.Message(5)})
	if keyed {
		c.Step(start, Received{KeygenRequest{Size: 2048, Version: 3}.Message(5)})
		c.Step(start, Generated{PublicKey: []byte{1}})
	}
	return c
}

func result(out []Output) (Result, bool) {
	for _, o := range out {
		if d, ok := o.(Done); ok {
			return d.Result, true
		}
	}
	return Result{}, false
}

func TestClientRefusesABrokenDialogue(t *testing.T) {
	store := StoreRequest{Certificate: Certificate{CertLSC, []byte{1}}}
	for _, c := range []struct {
		name  string
		keyed bool
		in    Input
		want  error
	}{
		{"done without a certificate", false, Received{EndSession{Reason: ReasonOK}.Message(5)}, ErrNoneSaved},
		{"done after the key alone", true, Received{EndSession{Reason: ReasonOK}.Message(5)}, ErrNoneSaved},
		{"no action after the key", true, Received{EndSession{Reason: ReasonNone}.Message(5)}, ErrRefused},
		{"another session", true, Received{store.Message(6)}, ErrDialogue},
		{"a certificate without a key", false, Received{store.Message(5)}, ErrDialogue},
		{"AUTH_REQ twice", false, Received{AuthRequest{Version: 3}.Message(5)}, ErrDialogue},
		{"a client's message", false, Received{StoreResponse{Reason: ReasonOK}.Message(5)}, ErrDialogue},
		{"STATUS", false, Received{Message{Command: CommandStatusRequest, Session: 5}}, ErrDialogue},
		{"a key of no size", false, Received{Message{Command: CommandKeygenRequest, Session: 5}}, ErrDialogue},
		{"END_SESSION without a reason", false, Received{Message{Command: CommandEndSession, Session: 5}}, ErrDialogue},
		{"come again", true, Received{RetryLater{Seconds: 30}.Message(5)}, ErrRetry},
		{"closed", true, Closed{errors.New("reset")}, ErrClosed},
		{"closed in order", true, Closed{}, ErrClosed},
	} {
		got, done := result(session(t, ClientConfig{Device: "SEP001122334455"}, c.keyed).Step(start, c.in))
		if !done || !errors.Is(got.Err, c.want) {
			t.Errorf("%s: %+v, done %v, want %v", c.name, got, done, c.want)
		}
		if c.want == ErrRetry && got.Retry != 30*time.Second {
			t.Errorf("%s: retry after %v", c.name, got.Retry)
		}
	}
}

func TestClientTellsWhatFailedHere(t *testing.T) {
	cfg := ClientConfig{Device: "SEP001122334455", NoEC: true, MinRSA: 2048}
	for _, order := range []KeygenRequest{{Type: KeyEC, Curve: CurveP384}, {Size: 1024}, {Size: 8192}} {
		c := session(t, cfg, false)
		out := c.Step(start, Received{order.Message(5)})
		r, err := ParseKeygenResponse(out[0].(Send).Message)
		if err != nil || r.Reason != ReasonRefused || r.Info == "" {
			t.Errorf("%+v: answers %+v, %v", order, r, err)
		}
		if got, _ := result(c.Step(start, Received{EndSession{Reason: ReasonRefused}.Message(5)})); !errors.Is(got.Err, ErrOrder) {
			t.Errorf("%+v: %v, want ErrOrder", order, got.Err)
		}
		c = session(t, cfg, false)
		c.Step(start, Received{order.Message(5)})
		if out := c.Step(start, Received{KeygenRequest{Size: 2048, Version: 3}.Message(5)}); len(out) != 2 {
			t.Errorf("%+v: the second order is answered %v, want progress and a key", order, out)
		}
	}
	full := errors.New("disk full")
	c := session(t, cfg, true)
	c.Step(start, Received{StoreRequest{Certificate: Certificate{CertLSC, []byte{1}}}.Message(5)})
	out := c.Step(start, Stored{full})
	if r, err := ParseStoreResponse(out[0].(Send).Message); err != nil || r.Reason != ReasonRefused {
		t.Errorf("a certificate that could not be stored is answered %+v, %v", r, err)
	}
	if got, _ := result(c.Step(start, Received{EndSession{Reason: ReasonRefused}.Message(5)})); !errors.Is(got.Err, full) || got.Operation != OperationNone {
		t.Errorf("%+v, want the disk's error", got)
	}
}

func TestClientDeadlines(t *testing.T) {
	c := NewClient(ClientConfig{Device: "SEP001122334455"}, start)
	if c.Deadline() != start.Add(DefaultServerWait) {
		t.Errorf("deadline %v", c.Deadline())
	}
	if out := c.Step(start.Add(time.Second), nil); out != nil {
		t.Errorf("before the deadline: %v", out)
	}
	if got, done := result(c.Step(c.Deadline(), nil)); !done || !errors.Is(got.Err, ErrSilent) || !c.Deadline().IsZero() {
		t.Errorf("at the deadline: %+v", got)
	}
	c = session(t, ClientConfig{Device: "SEP001122334455"}, false)
	c.Step(start, Received{KeygenRequest{Size: 4096, Version: 3}.Message(5)})
	for range 20 { // a phone that takes ten minutes says so every half minute
		out := c.Step(c.Deadline(), nil)
		if len(out) != 1 || out[0].(Send).Message.Command != CommandInProgress {
			t.Fatalf("while a key is made: %v", out)
		}
	}
	if out := c.Step(start.Add(20*DefaultProgress), Generated{PublicKey: []byte{1}}); len(out) != 1 || c.Deadline() != start.Add(20*DefaultProgress+DefaultServerWait) {
		t.Errorf("%v, deadline %v", out, c.Deadline())
	}
}

func TestClientChoosesItsCertificate(t *testing.T) {
	lsc, mic := Certificate{CertLSC, []byte{1}}, Certificate{CertMIC, []byte{2}}
	for _, c := range []struct {
		auth     AuthType
		password string
		existing []Certificate
		want     *Certificate
	}{
		{AuthLSC, "", []Certificate{mic, lsc}, &lsc},
		{AuthMIC, "", []Certificate{lsc, mic}, &mic},
		{AuthLSC, "1234", []Certificate{mic}, &mic}, // precedence, not exclusion
		{AuthNone, "", []Certificate{lsc}, &lsc},
		{AuthNone, "1234", []Certificate{lsc}, nil},
		{AuthString, "", []Certificate{lsc}, nil},
		{AuthLSC, "", nil, nil},
	} {
		m := NewClient(ClientConfig{Device: "d", Password: NewSecret(c.password), Existing: c.existing}, start)
		out := m.Step(start, Received{AuthRequest{Version: 3, Auth: c.auth}.Message(5)})
		prove, ok := out[0].(Prove)
		if ok != (c.want != nil) || ok && (prove.Session != 5 || prove.Certificate.Type != c.want.Type) {
			t.Errorf("%v with %d certificates: %+v", c.auth, len(c.existing), out[0])
			continue
		}
		if ok {
			r, err := ParseAuthResponse(m.Step(start, Proved{SHA1: []byte{9}})[0].(Send).Message)
			if err != nil || len(r.Certificates) != 1 || !bytes.Equal(r.Certificates[0].DER, c.want.DER) {
				t.Errorf("%v: sends %+v, %v", c.auth, r, err)
			}
		}
	}
}

// FuzzClient: whatever a server sends, in whatever order the runner answers, the machine does not panic, ends once, and is
// silent after its end.
func FuzzClient(f *testing.F) {
	for _, b := range vectors(f) {
		f.Add(append(append([]byte{0}, b...), byte(len(b))))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, now, ended := NewClient(ClientConfig{Device: "SEP001122334455", Version: VersionPhone}, start), start, false
		r := bytes.NewReader(in)
		for range 50 {
			choice, err := r.ReadByte()
			if err != nil {
				break
			}
			var step Input
			switch choice % 8 {
			case 0, 1, 2:
				m, err := Read(r, 0)
				if err != nil {
					break
				}
				m.Session &= 1
				step = Received{m}
			case 3:
				step = Generated{PublicKey: spki}
			case 4:
				step = Stored{}
			case 5:
				step = Deleted{}
			case 6:
				step = Proved{SHA1: []byte{1}}
			default:
				now = now.Add(time.Minute)
			}
			out := c.Step(now, step)
			if ended && len(out) > 0 {
				t.Fatalf("%v after the end", out)
			}
			if _, done := result(out); done {
				ended = true
			}
			if ended != c.Deadline().IsZero() {
				t.Fatalf("ended %v, deadline %v", ended, c.Deadline())
			}
		}
	})
}
