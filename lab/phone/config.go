package phone

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Config configures a phone. Number, Server, Certificate and Roots are needed; the zero value of the rest is a secure
// phone that registers, rings and waits to be told to answer.
type Config struct {
	Name    string // device name, "SEP001122334455"; "" = Number
	Number  string // user part of its address of record
	Domain  string // host of its address of record; "" = ServerName
	Display string

	Server      string            // address and port of the call manager, "127.0.1.10:5061": the primary
	Backups     []string          // those of further call managers in order, as a configuration file lists them
	ServerName  string            // name or IP address every certificate must prove; "" = the host of each server
	Certificate tls.Certificate   // of the device, with its key
	Roots       *x509.CertPool    // who may have signed the server's certificate
	Network     transport.Network // NoNetwork = TLS; UDP and TCP for devices whose profile allows it
	Local       netip.Addr        // address to call from; zero = 127.0.0.1 for a loopback server, else the system's choice

	NoRegister bool          // do not register
	Expires    time.Duration // registration asked for; 0 = 1 h
	KeepAlive  time.Duration // between the pings of RFC 5626 on a connection; 0 = 110 s, below zero = none
	PongWait   time.Duration // for the answer to a ping; 0 = 10 s (RFC 5626, 4.4.1)
	AutoAnswer bool          // answer incoming calls at once
	Intercom   bool          // answer those at once that ask for it: Call-Info answer-after, Alert-Info alert-autoanswer
	NoRinging  bool          // send no 180
	EarlyMedia bool          // answer the offer in a 183: Tone is heard before the call is answered

	DigestUser string     // answers challenges (RFC 8760); "" = none
	Password   sip.Secret // of DigestUser
	DigestMD5  bool       // named exception: answers MD5 where the server offers nothing better

	Security  desc.Security      // of media; the zero value requires SRTP
	Suites    []sdp.Suite        // in order of preference; nil = all
	Media     media.StreamConfig // addresses and ports of media; Caps is filled in from here
	Timer     dialog.TimerConfig
	Reliable  dialog.Reliability
	LateOffer bool // INVITE without a description
	NoUpdate  bool // UPDATE is unknown to this phone

	// Resync hears the event of a NOTIFY that asks the phone to look at its configuration again; nil = nobody. It must not block.
	Resync    func(event string)
	Misbehave Misbehave
	Observer  transport.Observer // sees its messages; nil = nobody
	Limits    endpoint.Limits
}

// Misbehave is what a bad phone does. The zero value behaves.
type Misbehave struct {
	PlainMedia bool // sends plain RTP although SRTP was agreed
	WrongKey   bool // describes other keys than it uses
	Silent     bool // says nothing: its packets are silence
	Mute       bool // sends no packet, though its description says that it sends
	NeverAck   bool // never acknowledges a 2xx
	Vanish     bool // Hangup says nothing: the phone is simply gone
}

// userAgent is the User-Agent of the phone.
const userAgent = "Locktone lab phone"
