// Package qbe is an application of CTIQBE for tests: it logs in, opens devices and lines, sends any message and keeps everything that is
// said to it, in order. It understands as little as it can, so that what a CTI manager says is seen as it is.
//
//	c, err := qbe.Dial(ctx, qbe.Config{Address: "127.0.1.10:2748", User: "app", Password: "..."})
//	line, err := c.Open(ctx, "alice", "1001")
//	answer, err := c.Ask(ctx, &ctiqbe.LineCallInitiateRequest{LineCallManagerID: line.CallManager, LineID: line.ID, DestAddress: "1002"})
//	for _, m := range c.Said() { ... }
package qbe

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// Config of a client.
type Config struct {
	Address  string
	TLS      *tls.Config // nil: in the clear
	User     string
	Password string
	// Heartbeat is what the client asks for, in seconds; 0: 30.
	Heartbeat uint32
	// Silent keeps it from sending heartbeats of its own.
	Silent bool
}

// A Client is one provider. It is safe for concurrent use.
type Client struct {
	cfg  Config
	conn net.Conn

	write sync.Mutex

	mu      sync.Mutex
	seq     uint32
	said    []ctiqbe.Message // but responses and heartbeats
	waiting map[uint32]chan ctiqbe.Message
	changed chan struct{} // closed and made anew when said grows, or the connection ends
	err     error
	beats   int
	done    chan struct{}
}

// Dial connects without saying anything.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		secure := tls.Client(conn, cfg.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secure
	}
	c := &Client{cfg: cfg, conn: conn, waiting: map[uint32]chan ctiqbe.Message{}, changed: make(chan struct{}), done: make(chan struct{})}
	go c.read()
	return c, nil
}

// Login connects and opens the provider: what comes back is ready for requests.
func Login(ctx context.Context, cfg Config) (*Client, error) {
	c, err := Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := c.login(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// A LoginError is what a CTI manager has refused a login with.
type LoginError struct {
	Result ctiqbe.Result
	Text   string
}

func (e *LoginError) Error() string { return fmt.Sprintf("login refused: %v: %s", e.Result, e.Text) }

func (c *Client) login(ctx context.Context) error {
	m, err := c.Ask(ctx, &ctiqbe.ProviderInitRequest{Provider: c.cfg.Address, QBEClientVersion: "lab", ApplicationID: "lab", PluginName: "lab"})
	if err != nil {
		return err
	}
	hello, ok := m.(*ctiqbe.ProviderInitResponse)
	if !ok {
		return fmt.Errorf("PROVIDER_INIT was answered with %v", m.PDU())
	}
	key, password, err := Seal(hello.Certificate, hello.Nonce, c.cfg.Password)
	if err != nil {
		return err
	}
	beat := c.cfg.Heartbeat
	if beat == 0 {
		beat = 30
	}
	if m, err = c.Ask(ctx, &ctiqbe.ProviderOpenRequest{Provider: c.cfg.Address, QBEClientVersion: "lab", Login: c.cfg.User, Password: password, EncryptedKeyData: key,
		ApplicationID: "lab", PluginName: "lab", DesiredServerHeartbeatTime: beat,
		Filter: ctiqbe.ProviderEventFilter{DeviceRegistered: true, DeviceUnregistered: true, DirectoryChangeNotify: true, DeviceConfigChangeNotify: true}}); err != nil {
		return err
	}
	opened, ok := m.(*ctiqbe.ProviderOpenResponse)
	if !ok {
		return fmt.Errorf("PROVIDER_OPEN was answered with %v", m.PDU())
	}
	if !c.cfg.Silent {
		go c.beat(time.Duration(opened.ClientHeartbeat) * time.Second)
	}
	m, err = c.Wait(ctx, 0, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDUProviderOpenCompletedEvent })
	if err != nil {
		return err
	}
	if e := m.(*ctiqbe.ProviderOpenCompletedEvent); e.Reason != 0 {
		return &LoginError{ctiqbe.Result(e.Reason), e.FailureDescription}
	}
	return nil
}

// Seal encrypts a password as the field's client does: a key and the nonce by RSA, the password by AES-128-CBC with an IV of zeros.
func Seal(certificate []byte, nonce, password string) (key, sealed []byte, err error) {
	x, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, err
	}
	public, ok := x.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, nil, errors.New("the certificate for passwords has no RSA key")
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return nil, nil, err
	}
	//lint:ignore SA1019 the padding of the protocol; there is no other in it
	if key, err = rsa.EncryptPKCS1v15(rand.Reader, public, append(secret[:16:16], nonce...)); err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, nil, err
	}
	pad := aes.BlockSize - len(password)%aes.BlockSize
	text := append([]byte(password), bytes.Repeat([]byte{byte(pad)}, pad)...)
	sealed = make([]byte, aes.BlockSize+len(text))
	cipher.NewCBCEncrypter(block, sealed[:aes.BlockSize]).CryptBlocks(sealed[aes.BlockSize:], text)
	return key, sealed, nil
}

// beat says something every so often.
func (c *Client) beat(every time.Duration) {
	t := time.NewTicker(max(every, time.Second))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = c.Send(&ctiqbe.Heartbeat{}) // the reader sees a connection that is gone
		case <-c.done:
			return
		}
	}
}

// Send sends a message as it is.
func (c *Client) Send(m ctiqbe.Message) error {
	return c.SendRaw(ctiqbe.AppendClient(nil, ctiqbe.Version12, m))
}

// SendRaw sends bytes.
func (c *Client) SendRaw(b []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	_, err := c.conn.Write(b)
	return err
}

// Begin sends a request under the next sequence number; the response comes on the channel.
func (c *Client) Begin(m ctiqbe.Message) (<-chan ctiqbe.Message, error) {
	ch := make(chan ctiqbe.Message, 1)
	c.mu.Lock()
	c.seq++
	n := c.seq
	c.waiting[n] = ch
	c.mu.Unlock()
	ctiqbe.SetSequence(m, n)
	return ch, c.Send(m)
}

// Ask sends a request and waits for its response, which may be a failure.
func (c *Client) Ask(ctx context.Context, m ctiqbe.Message) (ctiqbe.Message, error) {
	ch, err := c.Begin(m)
	if err != nil {
		return nil, err
	}
	select {
	case r, ok := <-ch:
		if !ok {
			return nil, c.Err()
		}
		return r, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer to %v: %w", m.PDU(), ctx.Err())
	}
}

// Do is Ask for a request that must not be refused.
func (c *Client) Do(ctx context.Context, m ctiqbe.Message) (ctiqbe.Message, error) {
	r, err := c.Ask(ctx, m)
	if f, ok := r.(*ctiqbe.FailureResponse); ok {
		return r, fmt.Errorf("%v was refused: %v: %s", m.PDU(), f.Result, f.Description)
	}
	return r, err
}

func (c *Client) read() {
	r := ctiqbe.NewReader(c.conn, 0)
	for {
		frame, err := r.Next()
		var m ctiqbe.Message
		if err == nil {
			m, _, err = ctiqbe.Parse(frame)
		}
		if err != nil {
			c.end(err)
			return
		}
		c.take(m)
	}
}

func (c *Client) take(m ctiqbe.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.PDU() == ctiqbe.PDUHeartbeat {
		c.beats++
		return
	}
	if n, ok := ctiqbe.Sequence(m); ok && m.PDU() != ctiqbe.PDUProviderOpenCompletedEvent && m.PDU() != ctiqbe.PDUCallPlayDTMFCompleteEvent {
		if ch := c.waiting[n]; ch != nil {
			delete(c.waiting, n)
			ch <- m
			return
		}
	}
	c.said = append(c.said, m)
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for _, ch := range c.waiting {
		close(ch)
	}
	clear(c.waiting)
	close(c.changed)
	c.changed = make(chan struct{})
	close(c.done)
}

// Said is everything the CTI manager has said of itself: no responses, no heartbeats.
func (c *Client) Said() []ctiqbe.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said[:len(c.said):len(c.said)]
}

// Beats is how many heartbeats have come.
func (c *Client) Beats() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beats
}

// Err is why the connection ended, nil while it is there.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Wait waits for a message, among those from the n-th on, that fits.
func (c *Client) Wait(ctx context.Context, n int, fits func(ctiqbe.Message) bool) (ctiqbe.Message, error) {
	for {
		c.mu.Lock()
		said, changed, err := c.said, c.changed, c.err
		c.mu.Unlock()
		for ; n < len(said); n++ {
			if fits(said[n]) {
				return said[n], nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the connection ended: %w", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("what was waited for was not said: %w", ctx.Err())
		}
	}
}

// WaitSaid waits until so many messages were said.
func (c *Client) WaitSaid(ctx context.Context, n int) error {
	_, err := c.Wait(ctx, n-1, func(ctiqbe.Message) bool { return true })
	return err
}

// A Line is an open line.
type Line struct {
	Device          string
	Number          string
	DeviceManager   uint32
	DeviceID        uint32
	CallManager, ID uint32
}

// Open opens a device and one of its lines, with every call event. It returns when the line's calls were told.
func (c *Client) Open(ctx context.Context, device, number string) (Line, error) {
	l := Line{Device: device, Number: number}
	m, err := c.Do(ctx, &ctiqbe.DeviceOpenRequest{DeviceName: device, Filter: ctiqbe.DeviceEventFilter{DeviceData: true, DNDChanged: true, DNDOptionChanged: true,
		HuntLogStatusChanged: true, DeviceIdleState: true, DeviceActiveState: true, DeviceAlertingState: true, DeviceHoldState: true, Snapshot: true}})
	if err != nil {
		return l, err
	}
	d := m.(*ctiqbe.DeviceOpenResponse)
	l.DeviceManager, l.DeviceID = d.CallManagerID, d.DeviceID
	before := len(c.Said())
	if m, err = c.Do(ctx, &ctiqbe.LineOpenRequest{DeviceName: device, LineName: number, Filter: Everything()}); err != nil {
		return l, err
	}
	o := m.(*ctiqbe.LineOpenResponse)
	l.CallManager, l.ID = o.LineCallManagerID, o.LineID
	_, err = c.Wait(ctx, before, func(m ctiqbe.Message) bool {
		e, ok := m.(*ctiqbe.LineExistingCallCompletedEvent)
		return ok && e.LineID == l.ID
	})
	return l, err
}

// Everything is a filter that leaves no call event out.
func Everything() ctiqbe.LineEventFilter {
	return ctiqbe.LineEventFilter{CallStateChanged: true, DTMF: true, Ring: true, GlobalCallHandleChanged: true, PartyInfoChanged: true, ExistingCallEvent: true,
		NewCallEvent: true, LineCfwdAllStatus: true, TransferStarted: true, TransferEnded: true, TransferFailed: true, ConferenceStarted: true, ConferenceEnded: true,
		ConferenceFailed: true, BargeStarted: true, BargeEnded: true, CBargeStarted: true, CBargeEnded: true, PrivacyChanged: true, CallSelectChanged: true,
		ExistingCallCompleted: true, HoldReversion: true, CallSecurityStatusUpdate: true, CallPresentEvent: true, CallFeatureCancelled: true, ParkStatusEvent: true,
		LineHuntCallStatusEvent: true}
}

// Close ends the connection at once, without a word.
func (c *Client) Close() { _ = c.conn.Close() }
