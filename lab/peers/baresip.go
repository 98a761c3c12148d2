package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A BaresipConfig is one baresip with one account. It talks from 127.0.0.1 (it refuses a loopback interface by name).
// baresip does not verify the server's certificate: it is never proof of ours.
type BaresipConfig struct {
	User, Domain string // the account sip:User@Domain
	Proxy        string // host:port of the registrar, over TLS; "" where Domain says it all
	Backup       string // host:port of a second registrar: baresip registers with both at once
	Certificate  string // path: certificate and key in one file
	CA           string // path
	Tone         string // path of the WAV file it speaks, 8 kHz mono; it should be longer than the call
	Codecs       string // as its account says them; "" = "PCMU,PCMA". Of "G722/16000/1" Tone must have 16 kHz
	Encryption   string // srtp-mand (SDES) unless set; "none" for plain RTP
	AutoAnswer   bool
	Transport    string   // tls unless set
	Expires      int      // seconds, 60 unless set
	NoRegister   bool     // a caller from outside, who dials whole URIs
	Modules      []string // besides the usual ones: mwi, presence, contact
	Contacts     []string // lines of its contacts file: "Bob" <sip:1002@locktone.test>;presence=p2p
}

// A Baresip is a running softphone, steered over its control port.
type Baresip struct {
	*Process
	ctl net.Conn

	mu      sync.Mutex
	events  []BaresipEvent
	changed chan struct{}
}

// A BaresipEvent is one message of its ctrl_tcp module.
type BaresipEvent struct {
	Event    bool   `json:"event"`
	Type     string `json:"type"` // REGISTER_OK, CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED, CALL_DTMF_START ...
	Class    string `json:"class"`
	Param    string `json:"param"`
	PeerURI  string `json:"peeruri"`
	Response bool   `json:"response"`
	OK       bool   `json:"ok"`
	Data     string `json:"data"`
}

const baresipModules = "/usr/lib/baresip/modules"

// StartBaresip writes the configuration into dir and starts the phone.
func StartBaresip(ctx context.Context, dir string, c BaresipConfig) (*Baresip, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	if err := c.write(dir, ports[0], ports[1]); err != nil {
		return nil, err
	}
	b := &Baresip{changed: make(chan struct{})}
	if b.Process, err = run(dir, "baresip", "-f", dir, "-v"); err != nil {
		return nil, err
	}
	if err := b.connect(ctx, ports[1]); err != nil {
		b.Stop()
		return nil, err
	}
	go b.read()
	return b, nil
}

func (c BaresipConfig) write(dir string, sipPort, ctlPort int) error {
	answer := "manual"
	if c.AutoAnswer {
		answer = "auto"
	}
	account := fmt.Sprintf("<sip:%s@%s;transport=%s>;regint=%d;mediaenc=%s;audio_codecs=%s;answermode=%s;auth_pass=none",
		c.User, c.Domain, or(c.Transport, "tls"), orInt(c.Expires, 60), or(c.Encryption, "srtp-mand"), or(c.Codecs, "PCMU,PCMA"), answer)
	if c.NoRegister {
		account = strings.Replace(account, fmt.Sprintf("regint=%d;", orInt(c.Expires, 60)), "regint=0;", 1)
	}
	if c.Encryption == "none" {
		account = strings.Replace(account, "mediaenc=none;", "", 1)
	}
	if c.Proxy != "" {
		account += fmt.Sprintf(`;outbound="sip:%s;transport=%s"`, c.Proxy, or(c.Transport, "tls"))
	}
	if c.Backup != "" {
		account = strings.Replace(account, ";outbound=", ";outbound1=", 1) + fmt.Sprintf(`;outbound2="sip:%s;transport=%s";sipnat=outbound`, c.Backup, or(c.Transport, "tls"))
	}
	if err := os.WriteFile(filepath.Join(dir, "accounts"), []byte(account+"\n"), 0o600); err != nil {
		return err
	}
	rtp, err := freePorts(1)
	if err != nil {
		return err
	}
	low := rtp[0] &^ 1
	lines := []string{
		"poll_method epoll", "sip_listen 127.0.0.1:" + strconv.Itoa(sipPort),
		"sip_certificate " + c.Certificate, "sip_cafile " + c.CA,
		"call_local_timeout 60", "call_max_calls 4",
		"audio_player aufile," + filepath.Join(dir, "out.wav"), "audio_source aufile," + c.Tone, "audio_alert aufile," + filepath.Join(dir, "alert.wav"),
		"audio_level no", "ausrc_format s16", "auplay_format s16", "auenc_format s16", "audec_format s16",
		"net_interface 127.0.0.1", fmt.Sprintf("rtp_ports %d-%d", low, low+20),
		"module_path " + baresipModules,
	}
	for _, m := range []string{"g711", "g722", "aufile", "sndfile", "srtp", "stdio", "ctrl_tcp", "account"} {
		lines = append(lines, "module "+m+".so")
	}
	for _, m := range c.Modules {
		lines = append(lines, "module_app "+m+".so")
	}
	if err := os.WriteFile(filepath.Join(dir, "contacts"), []byte(strings.Join(c.Contacts, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	lines = append(lines, "module_tmp uuid.so", "module_tmp account.so", "module_app menu.so",
		"ctrl_tcp_listen 127.0.0.1:"+strconv.Itoa(ctlPort), "snd_path "+dir)
	return os.WriteFile(filepath.Join(dir, "config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// connect dials the control port; it opens some time after the program started.
func (b *Baresip) connect(ctx context.Context, port int) error {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			b.ctl = conn
			return nil
		}
		select {
		case <-tick.C:
		case <-b.ended:
			return fmt.Errorf("baresip ended before its control port opened:\n%s", b.Tail(15))
		case <-ctx.Done():
			return fmt.Errorf("baresip's control port %s: %w", addr, err)
		}
	}
}

// read takes the netstrings of the control port until it closes.
func (b *Baresip) read() {
	in := bufio.NewReader(b.ctl)
	for {
		e, err := readNetstring(in)
		b.mu.Lock()
		if err == nil {
			var ev BaresipEvent
			if json.Unmarshal(e, &ev) == nil {
				b.events = append(b.events, ev)
			}
		}
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func readNetstring(in *bufio.Reader) ([]byte, error) {
	length, err := in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n < 0 || n > 1<<20 {
		return nil, fmt.Errorf("netstring length %q", length)
	}
	buf := make([]byte, n+1)
	for got := 0; got < len(buf); {
		k, err := in.Read(buf[got:])
		if err != nil {
			return nil, err
		}
		got += k
	}
	return buf[:n], nil
}

// Command sends one command ("dial", "hangup", "accept", "hold", "resume", "sndcode") to the phone.
func (b *Baresip) Command(command, params string) error {
	m, err := json.Marshal(map[string]string{"command": command, "params": params, "token": command})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.ctl, "%d:%s,", len(m), m)
	return err
}

// Dial calls a number. A second call puts the first one on hold.
func (b *Baresip) Dial(number string) error { return b.Command("dial", number) }

// Transfer sends the far end of the current call to a number, by REFER. This version has no command for a transfer with
// consultation (linphonec has).
func (b *Baresip) Transfer(number string) error { return b.Command("transfer", number) }

// EventMark is a place in the stream of events: Event looks only at what comes after it.
func (b *Baresip) EventMark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

// Event waits for the first event of a type after mark.
func (b *Baresip) Event(ctx context.Context, mark int, types ...string) (BaresipEvent, error) {
	for {
		b.mu.Lock()
		for ; mark < len(b.events); mark++ {
			for _, typ := range types {
				if b.events[mark].Type == typ {
					e := b.events[mark]
					b.mu.Unlock()
					return e, nil
				}
			}
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-b.ended:
			return BaresipEvent{}, fmt.Errorf("baresip ended before %v:\n%s", types, b.Tail(15))
		case <-ctx.Done():
			return BaresipEvent{}, fmt.Errorf("baresip saw no %v: %w; its last words:\n%s", types, context.Cause(ctx), b.Tail(25))
		}
	}
}

// keys are the DTMF keys that it has heard since mark.
func (b *Baresip) keys(mark int) (heard string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events[mark:] {
		if e.Type == "CALL_DTMF_START" {
			heard += e.Param
		}
	}
	return heard
}

// Registered waits for the registrar's answer, in the log: the program may have registered before its control port was
// connected, and tells no event twice.
func (b *Baresip) Registered(ctx context.Context) error {
	line, err := b.Wait(ctx, 0, " binding]", " bindings]", "reg: ")
	if err == nil && !strings.Contains(line, "binding") {
		err = fmt.Errorf("baresip was not registered: %s", line)
	}
	return err
}

// Heard is the recording of what the phone received and decoded, once a call was up; the newest one.
func (b *Baresip) Heard() (string, error) { return newest(filepath.Join(b.Dir, "dump-*-dec.wav")) }

// LastHeard is the recording of the call that began last, where several are up at once. Their names have a second's resolution:
// see NextSecond.
func (b *Baresip) LastHeard() (string, error) {
	found, err := filepath.Glob(filepath.Join(b.Dir, "dump-*-dec.wav"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no recording in %s", b.Dir)
	}
	return slices.Max(found), nil
}

// NextSecond waits until a recording of this phone gets another name than those before.
func (b *Baresip) NextSecond(ctx context.Context) error {
	now := time.Now()
	select {
	case <-time.After(now.Truncate(time.Second).Add(time.Second).Sub(now)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newest(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no recording at %s", pattern)
	}
	best, when := "", time.Time{}
	for _, f := range found {
		if st, err := os.Stat(f); err == nil && st.ModTime().After(when) {
			best, when = f, st.ModTime()
		}
	}
	return best, nil
}

// lastPort spreads the ports of one process.
var lastPort atomic.Uint32

// freePorts returns ports of 127.0.0.1 that were free a moment ago. They are below those that the system gives to clients
// (net.ipv4.ip_local_port_range), so that no connection takes one before its program does; each has room behind it for a
// range of RTP ports.
func freePorts(n int) ([]int, error) {
	const low, count, apart = 10_000, 900, 24
	var ports []int
	start := uint32(os.Getpid()) * 31
	for range count {
		port := low + int((start+lastPort.Add(1))%count)*apart
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports between 10000 and 31600 on 127.0.0.1")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func orInt(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}
