package certfile

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
	"software.sslmate.com/src/go-pkcs12"
)

// PKCS12Options say how a PKCS #12 file is made.
type PKCS12Options struct {
	Password pki.Secret // at least MinPassword characters
	// Legacy encrypts with triple DES under SHA-1, for products that read nothing else. Whoever has such a file needs
	// little time to try passwords: hand it over by a way that needs no password.
	Legacy bool
}

// MinPassword is the least number of characters of a password.
const MinPassword = 8

// iterations is the work of trying one password in a file of ours. Readers do it once per bag: some 0.2 s in all.
const iterations = 100_000

// WritePEM is the certificates as text, in their order.
func WritePEM(cs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range cs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func (o PKCS12Options) encoder() (*pkcs12.Encoder, error) {
	if !utf8.Valid(o.Password) || utf8.RuneCount(o.Password) < MinPassword {
		return nil, fmt.Errorf("certfile: a PKCS #12 file needs a password of at least %d characters", MinPassword)
	}
	if o.Legacy {
		return pkcs12.LegacyDES, nil // with its own count: some of its readers take no other
	}
	return pkcs12.Modern2023.WithIterations(iterations), nil
}

// WritePKCS12 is a credential with its chain and the roots above it, as one encrypted file.
func WritePKCS12(c pki.Credential, roots []*x509.Certificate, o PKCS12Options) (pki.Secret, error) {
	enc, err := o.encoder()
	if err != nil {
		return nil, err
	}
	text, err := c.KeyPEM()
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || c.Leaf() == nil {
		return nil, fmt.Errorf("certfile: a credential without key or certificate")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certfile: the private key cannot be exported: it is of a kind PKCS #8 does not have")
	}
	above := append(c.Chain[1:len(c.Chain):len(c.Chain)], rootsOf(c, roots)...)
	b, err := enc.Encode(key, c.Leaf(), above, string(o.Password))
	if err != nil {
		return nil, fmt.Errorf("certfile: %w", err)
	}
	return b, nil
}

// rootsOf are those of the roots that issued the top of the chain.
func rootsOf(c pki.Credential, roots []*x509.Certificate) []*x509.Certificate {
	top := c.Chain[len(c.Chain)-1]
	if r := issuerOf(top, roots); r != nil {
		return []*x509.Certificate{r}
	}
	return nil
}

// WriteTrustPKCS12 is certificates without a key as one PKCS #12 file, which Java takes as a trust store.
func WriteTrustPKCS12(cs []*x509.Certificate, o PKCS12Options) ([]byte, error) {
	enc, err := o.encoder()
	if err != nil {
		return nil, err
	}
	entries := make([]pkcs12.TrustStoreEntry, len(cs))
	for i, c := range cs {
		entries[i] = pkcs12.TrustStoreEntry{Cert: c, FriendlyName: c.Subject.String()}
	}
	b, err := enc.EncodeTrustStoreEntries(entries, string(o.Password))
	if err != nil {
		return nil, fmt.Errorf("certfile: %w", err)
	}
	return b, nil
}

// HashFiles are the certificates as PEM files named <hash>.0 under the present and under the former subject hash of
// OpenSSL: what other products expect as a root to download and in folders of trusted authorities. Different
// certificates of one hash are counted up (.1, .2).
func HashFiles(cs []*x509.Certificate) ([]File, error) {
	var out []File
	for i, c := range cs {
		if seen(cs[:i], c) {
			continue
		}
		now, err := trustlist.SubjectHash(c.RawSubject)
		if err != nil {
			return nil, fmt.Errorf("certfile: the subject of %s: %w", c.Subject, err)
		}
		text := WritePEM(c)
		out = append(out, File{Name: free(out, now), Data: text})
		out = append(out, File{Name: free(out, trustlist.SubjectHashOld(c.RawSubject)), Data: text})
	}
	return out, nil
}

func seen(cs []*x509.Certificate, c *x509.Certificate) bool {
	for _, x := range cs {
		if bytes.Equal(x.Raw, c.Raw) {
			return true
		}
	}
	return false
}

// free is the first <hash>.n that no file has.
func free(files []File, hash string) string {
	for n := 0; ; n++ {
		name := hash + "." + strconv.Itoa(n)
		taken := false
		for _, f := range files {
			taken = taken || f.Name == name
		}
		if !taken {
			return name
		}
	}
}
