package peers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A LinphoneConfig is one linphonec with one account. linphonec verifies the server strictly, by DNS name; an IP address
// in the certificate does not satisfy it.
type LinphoneConfig struct {
	User, Domain     string // the account sip:User@Domain
	Proxy            string // name:port of the registrar, over TLS
	Certificate, Key string // paths
	CA               string // path
	Tone             string // WAV file it speaks once told to with Play
	Plain            bool   // RTP without encryption
	AutoAnswer       bool
}

// A Linphone is a running linphonec, steered by the commands a person would type.
type Linphone struct {
	*Process
	tone string
}

// StartLinphone writes the configuration into dir and starts the phone.
func StartLinphone(dir string, c LinphoneConfig) (*Linphone, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	enc, mandatory := "srtp", 1
	if c.Plain {
		enc, mandatory = "none", 0
	}
	rc := fmt.Sprintf(`[sip]
sip_port=0
sip_tcp_port=0
sip_tls_port=%d
root_ca=%s
client_cert_chain=%s
client_cert_key=%s
verify_server_certs=1
verify_server_cn=1
media_encryption=%s
media_encryption_mandatory=%d
default_proxy=0
register_only_when_network_is_up=0
guess_hostname=0
contact=sip:%s@127.0.0.1
ipv6_migration_done=1
use_ipv6=0
[proxy_0]
reg_proxy=<sip:%s;transport=tls>
reg_route=<sip:%s;transport=tls>
reg_identity=sip:%s@%s
reg_expires=60
reg_sendregister=1
publish=0
dial_escape_plus=0
[rtp]
audio_rtp_port=%d
audio_adaptive_jitt_comp_enabled=0
[net]
nat_policy_ref=
mtu=0
[video]
enabled=0
capture=0
display=0
[sound]
echocancellation=0
[audio_codec_0]
mime=PCMU
rate=8000
channels=1
enabled=1
[misc]
history_max_size=0
[storage]
uri=%s
`, ports[0], c.CA, c.Certificate, c.Key, enc, mandatory, c.User, c.Proxy, c.Proxy, c.User, c.Domain, ports[1]&^1, filepath.Join(dir, "linphone.db"))
	path := filepath.Join(dir, "linphonerc")
	if err := os.WriteFile(path, []byte(rc), 0o600); err != nil {
		return nil, err
	}
	for _, d := range []string{".local/share/linphone", ".config/linphone"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	args := []string{"-c", path, "-d", "6", "-l", filepath.Join(dir, "linphone-debug.log")}
	if c.AutoAnswer {
		args = append(args, "-a")
	}
	p, err := run(dir, "linphonec", args...)
	if err != nil {
		return nil, err
	}
	go p.followFile(filepath.Join(dir, "linphone-debug.log"))
	l := &Linphone{Process: p, tone: c.Tone}
	return l, l.Say("soundcard use files")
}

// Registered waits until the registrar accepted the phone.
func (l *Linphone) Registered(ctx context.Context) error {
	line, err := l.Wait(ctx, 0, "to [LinphoneRegistrationOk]", "to [LinphoneRegistrationFailed]")
	if err == nil && !strings.Contains(line, "Ok]") {
		err = fmt.Errorf("linphonec: %s", line)
	}
	return err
}

// Speak starts the tone; it needs a call that is up, and is to be said again after a hold.
func (l *Linphone) Speak() error { return l.Say("play " + l.tone) }

// Heard records what is heard for at least two seconds of a call and returns the file. The program writes a recording when
// it begins another.
func (l *Linphone) Heard(ctx context.Context, name string) (string, error) {
	path := filepath.Join(l.Dir, name+".wav")
	mark := l.Mark()
	if err := l.Say("record " + path); err != nil {
		return "", err
	}
	for range 3 { // once a second while there is media
		if _, err := l.Wait(ctx, mark, "Bandwidth usage"); err != nil {
			return "", err
		}
		mark = l.Mark()
	}
	return path, l.Say("record " + filepath.Join(l.Dir, "rest.wav"))
}

// Call dials a number or address.
func (l *Linphone) Call(to string) error { return l.Say("call " + to) }

// Digits types digits during a call; each leaves as one telephone event.
func (l *Linphone) Digits(digits string) error { return l.Say(digits) }

// Answer takes call number n; linphonec puts the call it had on hold.
func (l *Linphone) Answer(n int) error { return l.Say("answer " + strconv.Itoa(n)) }

// Pause puts the current call on hold, Resume takes call number n back.
func (l *Linphone) Pause() error { return l.Say("pause") }

// Resume takes call number n back from hold.
func (l *Linphone) Resume(n int) error { return l.Say("resume " + strconv.Itoa(n)) }

// Transfer sends the far end of call number n to an address (blind, by REFER).
func (l *Linphone) Transfer(n int, to string) error {
	return l.Say("transfer " + strconv.Itoa(n) + " " + to)
}

// TransferToCall joins the far ends of two calls of this phone (after consultation: REFER with Replaces).
func (l *Linphone) TransferToCall(n, other int) error {
	return l.Say("transfer " + strconv.Itoa(n) + " --to-call " + strconv.Itoa(other))
}

// Redirect answers ringing call number n with 302.
func (l *Linphone) Redirect(n int, to string) error {
	return l.Say("redirect " + strconv.Itoa(n) + " " + to)
}

// Terminate hangs up call number n as linphonec counts them.
func (l *Linphone) Terminate(n int) error { return l.Say("terminate " + strconv.Itoa(n)) }
