package enroll

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pin/tftp/v3"

	"github.com/locktone/locktone/wire/trustlist"
)

// tftpServer serves files by name with the library's own server.
func tftpServer(t *testing.T, files map[string][]byte) string {
	t.Helper()
	s := tftp.NewServer(func(name string, rf io.ReaderFrom) error {
		b, ok := files[name]
		if !ok {
			return errors.New("File not found")
		}
		_, err := rf.ReadFrom(bytes.NewReader(b))
		return err
	}, nil)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(conn) }()
	t.Cleanup(func() { s.Shutdown(); <-done })
	return conn.LocalAddr().String()
}

func TestTFTP(t *testing.T) {
	files := map[string][]byte{"empty": {}, "one": {7}, "block": make([]byte, 512), "more": bytes.Repeat([]byte("0123456789"), 700), "big": make([]byte, maxFile+1)}
	server := tftpServer(t, files)
	for _, blksize := range []int{0, 1428} {
		f := TFTP{Server: server, BlockSize: blksize, Timeout: time.Second}
		for _, name := range []string{"empty", "one", "block", "more"} {
			if b, err := f.Fetch(t.Context(), name); err != nil || !bytes.Equal(b, files[name]) {
				t.Errorf("blksize %d, %s: %d octets, %v", blksize, name, len(b), err)
			}
		}
		if _, err := f.Fetch(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("blksize %d, a file that is not there: %v", blksize, err)
		}
	}
	if _, err := (TFTP{Server: server, BlockSize: 8192}).Fetch(t.Context(), "big"); !errors.Is(err, errTooBig) {
		t.Errorf("a file over the limit: %v", err)
	}
}

// TestTFTPRequest: the request is that of a JTAPI client, octet for octet: no options. It is repeated when nobody answers, and
// the error tells a person what to look at.
func TestTFTPRequest(t *testing.T) {
	text, err := os.ReadFile("testdata/tftp-rrq.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make(chan []byte, 16)
	go func() {
		defer close(got)
		for b := make([]byte, 1024); ; {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			got <- bytes.Clone(b[:n])
		}
	}()
	f := TFTP{Server: conn.LocalAddr().String(), Timeout: 50 * time.Millisecond}
	_, err = f.Fetch(t.Context(), trustlist.CAPFFilenames(netip.MustParseAddr("127.0.0.1"))[0])
	if e := downloadError(f.Server, "x", err); err == nil || e.Err.Error() != "no answer" || !e.Retry || !strings.Contains(e.Advice, "UDP") {
		t.Errorf("%v: %+v", err, e)
	}
	_ = conn.Close()
	n := 0
	for b := range got {
		if n++; !bytes.Equal(b, want) {
			t.Errorf("request %x, want %x", b, want)
		}
	}
	if n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestTFTPEndsWithItsContext(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := (TFTP{Server: conn.LocalAddr().String(), Timeout: 300 * time.Millisecond, Attempts: 2}).Fetch(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 250*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestWithPort(t *testing.T) {
	for in, want := range map[string]string{"cm1": "cm1:69", "10.0.0.1": "10.0.0.1:69", "10.0.0.1:6969": "10.0.0.1:6969", "2001:db8::1": "[2001:db8::1]:69", "[2001:db8::1]": "[2001:db8::1]:69", "[::1]:70": "[::1]:70"} {
		if got := withPort(in, TFTPPort); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
