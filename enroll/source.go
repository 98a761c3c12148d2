package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pin/tftp/v3"
)

// A Source brings files by name: TFTP, HTTP, or a test's. A file that the server says it does not have is fs.ErrNotExist;
// every other error means that nobody knows.
type Source interface {
	Fetch(ctx context.Context, name string) ([]byte, error)
}

// The ports of provisioning.
const (
	TFTPPort  = "69"
	HTTPPort  = "6970"
	HTTPSPort = "6971"
)

// maxFile bounds a download. Phones break on trust lists over 64 KiB; configurations are smaller.
const maxFile = 1 << 20

// TFTP fetches by TFTP in octet mode (RFC 1350, 2).
type TFTP struct {
	Server    string        // host or host:port; the port is 69 when it is left out
	BlockSize int           // asked for by the option blksize (RFC 2348); 0 asks for no options, as JTAPI clients do
	Timeout   time.Duration // for each answer; 0 is 3 s
	Attempts  int           // per packet; 0 is 3
}

// Fetch fetches one file. It returns when ctx is done; the transfer's socket is closed at its next timeout at the latest.
func (t TFTP) Fetch(ctx context.Context, name string) ([]byte, error) {
	client, err := tftp.NewClient(withPort(t.Server, TFTPPort))
	if err != nil {
		return nil, err
	}
	client.SetTimeout(orDefault(t.Timeout, 3*time.Second))
	client.SetRetries(max(orDefault(t.Attempts, 3)-1, 1))
	client.SetBackoff(func(int) time.Duration { return 0 })
	if t.BlockSize > 0 {
		client.SetBlockSize(t.BlockSize)
	}
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := receive(ctx, client, name)
		done <- answer{b, err}
	}()
	select {
	case a := <-done:
		return a.b, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func receive(ctx context.Context, client *tftp.Client, name string) ([]byte, error) {
	transfer, err := client.Receive(name, "octet")
	if err != nil {
		return nil, tftpError(err)
	}
	w := limited{ctx: ctx}
	if _, err := transfer.WriteTo(&w); err != nil {
		return nil, tftpError(err)
	}
	return w.b.Bytes(), nil
}

// tftpError finds "file not found" (error code 1), for which the library has no type.
func tftpError(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "code: 1, message: "); ok {
		return fmt.Errorf("TFTP error 1, %q: %w", text, fs.ErrNotExist)
	}
	if text, ok := strings.CutPrefix(err.Error(), "code: "); ok {
		return fmt.Errorf("TFTP error %s", text)
	}
	return err
}

// limited is a buffer that refuses to grow over maxFile or to go on after its context.
type limited struct {
	ctx context.Context
	b   bytes.Buffer
}

var errTooBig = fmt.Errorf("the file is longer than %d octets", maxFile)

func (w *limited) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if w.b.Len()+len(p) > maxFile {
		return 0, errTooBig
	}
	return w.b.Write(p)
}

// HTTP fetches by HTTP from the provisioning server: the same names as by TFTP.
type HTTP struct {
	Server  string        // host or host:port; the port is 6970, or 6971 with TLS, when it is left out
	TLS     *tls.Config   // nil: in the clear, which is enough for what is signed
	Timeout time.Duration // for the whole of a file; 0 is 15 s
}

// Fetch fetches one file.
func (h HTTP) Fetch(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(h.Timeout, 15*time.Second))
	defer cancel()
	transport := &http.Transport{TLSClientConfig: h.TLS, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the provisioning server redirects, which phones do not follow")
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url(name), nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("HTTP %s: %w", res.Status, fs.ErrNotExist)
	default:
		return nil, fmt.Errorf("HTTP %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = errTooBig
	}
	return b, err
}

func (h HTTP) url(name string) string {
	u := url.URL{Scheme: "http", Host: withPort(h.Server, HTTPPort), Path: "/" + name}
	if h.TLS != nil {
		u.Scheme, u.Host = "https", withPort(h.Server, HTTPSPort)
	}
	return u.String()
}

// withPort adds a port to a host without one.
func withPort(server, port string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), port)
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
