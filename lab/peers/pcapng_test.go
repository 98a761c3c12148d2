package peers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/trace/pcapng"
)

// TestSocketsCaptured has tshark read a file of package pcapng: it is TCP without a mistake, TLS inside, and with the secrets that the file
// carries it is what was said.
func TestSocketsCaptured(t *testing.T) {
	Need(t, tshark)
	t.Parallel()
	ctx := within(t, 60*time.Second)
	file := filepath.Join(t.TempDir(), "sockets.pcapng")
	f, err := os.Create(file)
	must(t, err)
	defer f.Close()
	w, err := pcapng.NewWriter(f, "locktone test")
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l = w.Listener(l)
	defer l.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	said := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			said <- err
			return
		}
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}, KeyLogWriter: w.KeyLog()})
		b := make([]byte, 64)
		n, err := s.Read(b)
		if err == nil {
			_, err = s.Write(bytes.ToUpper(b[:n]))
		}
		said <- err
		s.Close()
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // what is looked at is the file
	must(t, err)
	_, err = c.Write([]byte("a word in confidence"))
	must(t, err)
	_, err = c.Read(make([]byte, 64))
	must(t, err)
	must(t, <-said)
	c.Close()
	must(t, w.Err())
	port := "==" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	bad, err := Dissect(ctx, file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-Y", "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0")
	must(t, err)
	if len(bad) > 0 {
		t.Errorf("tshark finds fault with\n%s", strings.Join(bad, "\n"))
	}
	lines, err := Dissect(ctx, file, "-d", "tcp.port"+port+",tls", "-d", "tls.port"+port+",data", "-Y", "data", "-T", "fields", "-e", "data.text", "-o", "data.show_as_text:TRUE")
	must(t, err)
	if !slices.Equal(lines, []string{"a word in confidence", "A WORD IN CONFIDENCE"}) {
		t.Errorf("inside TLS tshark reads %q", lines)
	}
}
