package cti

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// sealPassword makes the two fields in which a password travels: an AES key and the manager's nonce under the RSA key of the
// certificate that came with the nonce, and the password under that AES key, with the IV before it.
func sealPassword(password secret.Text, nonce string, certificate []byte) (sealed, key []byte, err error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate for the password: %w", err)
	}
	public, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("the certificate for the password has a %T: the protocol needs RSA", cert.PublicKey)
	}
	secretKey, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	_, _ = rand.Read(secretKey) // never fails
	_, _ = rand.Read(iv)
	//lint:ignore SA1019 the padding of the protocol; there is no other in it
	key, err = rsa.EncryptPKCS1v15(rand.Reader, public, append(secretKey[:16:16], nonce...))
	if err != nil {
		return nil, nil, fmt.Errorf("sealing the password's key: %w", err)
	}
	block, err := aes.NewCipher(secretKey)
	if err != nil {
		return nil, nil, err
	}
	text := []byte(password.Reveal())
	pad := aes.BlockSize - len(text)%aes.BlockSize // PKCS #7
	for range pad {
		text = append(text, byte(pad))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	return append(iv, text...), key, nil
}

// Capabilities are what the user may do beyond controlling devices.
type Capabilities = ctiqbe.ProviderCapabilitiesInfo

// welcome is what a login brought.
type welcome struct {
	info         string // the manager's name for itself
	providerID   uint32
	user         string
	cluster      string
	expires      uint32 // days until the password does
	capabilities Capabilities
	beat, window time.Duration
}

// login logs in, and leaves the heartbeats running.
func (c *Config) login(ctx context.Context, s *session, host string) (w welcome, err error) {
	a, err := s.ask(ctx, "Starting the login", &ctiqbe.ProviderInitRequest{Provider: host, QBEClientVersion: clientVersion, ApplicationID: c.Application, PluginName: pluginName})
	if err != nil {
		return w, err
	}
	first, ok := a.(*ctiqbe.ProviderInitResponse)
	if !ok {
		return w, &Error{Doing: "Starting the login", Manager: s.address, Err: fmt.Errorf("answered by %s", a.PDU())}
	}
	sealed, key, err := sealPassword(c.Password, first.Nonce, first.Certificate)
	if err != nil {
		return w, &Error{Doing: "Starting the login", Manager: s.address, Err: err}
	}
	a, err = s.ask(ctx, "Logging in as "+c.User, &ctiqbe.ProviderOpenRequest{Provider: host, QBEClientVersion: clientVersion, Login: c.User, Password: sealed,
		EncryptedKeyData: key, Filter: ctiqbe.ProviderEventFilter{DeviceRegistered: true, DeviceUnregistered: true, DirectoryChangeNotify: true},
		ApplicationID: c.Application, DesiredServerHeartbeatTime: uint32(c.Heartbeat / time.Second), RequestTimer: 5, PluginName: pluginName,
		ApplicationPriority: ctiqbe.ApplicationPriorityNormal, AuthenticationType: ctiqbe.AuthenticationTypeUserName})
	if err != nil {
		return w, err
	}
	if err := c.admitted(ctx, s, &w); err != nil {
		return w, err
	}
	if o, ok := a.(*ctiqbe.ProviderOpenResponse); ok && w.beat == 0 {
		w.setHeartbeats(o.ClientHeartbeat, o.ServerHeartbeat, c.Heartbeat)
	}
	go s.pulse(w.beat, w.window)
	return w, c.look(ctx, s, &w)
}

// admitted waits for the outcome of the login, which comes when the manager has asked its directory.
func (c *Config) admitted(ctx context.Context, s *session, w *welcome) error {
	doing := "Logging in as " + c.User
	var e *ctiqbe.ProviderOpenCompletedEvent
	select {
	case e = <-s.opened:
	case <-s.done:
		select {
		case e = <-s.opened: // the manager told why before it closed
		default:
			return &Error{Doing: doing, Manager: s.address, Err: s.cause()}
		}
	case <-ctx.Done():
		return &Error{Doing: doing, Manager: s.address, Err: context.Cause(ctx)}
	}
	if e.Reason != ctiqbe.OK {
		r := refused(doing, e.Reason, e.FailureDescription)
		r.Manager = s.address
		return r
	}
	w.info, w.providerID, w.user, w.cluster, w.expires = e.ProviderInfoString, e.ProviderID, e.LoginUserName, e.ClusterID, e.DaysUntilPasswordExpiry
	if e.ClientHeartbeat > 0 || e.ServerHeartbeat > 0 {
		w.setHeartbeats(e.ClientHeartbeat, e.ServerHeartbeat, c.Heartbeat)
	}
	return nil
}

// setHeartbeats takes the intervals that the manager named, in seconds. Ours it wants, its own we expect: two of them
// without a message are the window of silence.
func (w *welcome) setHeartbeats(client, server uint32, asked time.Duration) {
	w.beat, w.window = time.Duration(client)*time.Second, 2*time.Duration(server)*time.Second
	if client == 0 || client > 3600 {
		w.beat = asked
	}
	if server == 0 || server > 3600 {
		w.window = 2 * asked
	}
}

// look asks what the user may do, and which devices and lines there are.
func (c *Config) look(ctx context.Context, s *session, w *welcome) error {
	a, err := s.ask(ctx, "Asking for the user's rights", &ctiqbe.ProviderGetCapabilitiesInfoRequest{})
	if err != nil {
		return err
	}
	if r, ok := a.(*ctiqbe.ProviderGetCapabilitiesInfoResponse); ok {
		w.capabilities = r.ProviderCapabilitiesInfo
	}
	const doing = "Asking for the user's devices"
	q := &ctiqbe.ProviderGetAllDevicesAndLinesRequest{}
	if _, err := s.ask(ctx, doing, q); err != nil {
		return err
	}
	for {
		select {
		case n := <-s.listed:
			if n == q.SequenceNumber {
				return nil
			}
		case <-s.done:
			return &Error{Doing: doing, Manager: s.address, Err: errors.Join(ErrNoLink, s.cause())}
		case <-ctx.Done():
			return &Error{Doing: doing, Manager: s.address, Err: context.Cause(ctx)}
		}
	}
}
