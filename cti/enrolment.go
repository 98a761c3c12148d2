package cti

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
)

// refreshTime bounds the fetching of a new trust list before a connection, when one is held: a manager must be replaced
// quickly, also where the TFTP server died with it.
const refreshTime = 2 * time.Second

// Security is the page Security of the form: where trust list and certificate come from.
type Security struct {
	Instance string        `json:"instance"`       // instance id of the user's CAPF profile
	CAPF     string        `json:"capf"`           // address of the CAPF server
	Port     int           `json:"port,omitempty"` // its port; 3804 when 0
	Retries  int           `json:"retries"`        // further attempts to fetch a certificate
	Interval time.Duration `json:"interval"`       // the pause before each
	TFTP     string        `json:"tftp"`           // address of the TFTP server
	// LegacyRSA is the exception capf-legacy-rsa: it also offers the only cipher suites of old call managers.
	LegacyRSA bool `json:"legacyRSA,omitempty"`
}

// Enrolment fetches the certificate of an application and keeps it in a folder, with the trust list. Its methods may be
// called from any goroutine.
type Enrolment struct {
	security Security
	trace    *Tracer

	mu     sync.Mutex // the client is not for concurrent use
	client *enroll.Client
}

// NewEnrolment opens the folder DIR/tsp001. authorization is an authorization string or a join token; "" where a certificate
// is held. observe is told what happens, nil for nobody.
func NewEnrolment(dir string, s Security, authorization string, trace *Tracer, observe func(enroll.Event)) (*Enrolment, error) {
	a, err := enroll.ParseAuthorization(authorization)
	if err != nil {
		return nil, &Error{Doing: "Reading the authorization", Err: err}
	}
	for _, f := range []struct{ value, name string }{{s.Instance, "instance id"}, {s.CAPF, "CAPF server's address"}, {s.TFTP, "TFTP server's address"}} {
		if f.value == "" {
			return nil, &Error{Doing: "Preparing the secure connection", Err: fmt.Errorf("the %s is missing", f.name), Advice: "Fill in the form: locktone tsp configure"}
		}
	}
	if s.Port == 0 {
		s.Port = capf.Port
	}
	e := &Enrolment{security: s, trace: trace}
	host := s.CAPF
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, strconv.Itoa(s.Port))
	}
	e.client, err = enroll.New(enroll.Config{Instance: s.Instance, Authorization: a, Dir: dir, CAPF: host, TFTP: s.TFTP, LegacyRSA: s.LegacyRSA,
		Source: &tracedSource{enroll.TFTP{Server: s.TFTP}, trace}, Retries: s.Retries, Every: s.Interval, Observe: observe})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// tracedSource is TFTP that tells the trace what it asks for.
type tracedSource struct {
	enroll.Source
	trace *Tracer
}

func (s *tracedSource) Fetch(ctx context.Context, name string) ([]byte, error) {
	s.trace.Detail("CSSLHelper::GetCTLFromTFTP CTLFileName = %s", name)
	defer s.trace.enter("TftpClient::TftpClient")()
	s.trace.Detail("TftpClient::TftpClient() [] TftpClient instantiated successfully")
	b, err := s.Source.Fetch(ctx, name)
	if err != nil {
		s.trace.Fault("CSSLHelper::GetCTLFromTFTP %s: %v", name, err)
	}
	return b, err
}

// Fetch fetches the trust list, believes it or not, and obtains a certificate: what the button Fetch Certificate does. It
// tries as often as Security says.
func (e *Enrolment) Fetch(ctx context.Context) (enroll.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.client.Enroll(ctx)
	e.tellFolder()
	if r.TLS != "" {
		e.trace.enter("CSSLHelper::SSLConnectThreadEntry")()
		e.trace.Detail("CSSLHelper::SSLConnectThreadEntry() Handshake: Finished")
		e.trace.Detail("CSSLHelper::SSLConnectThreadEntry() SSL connection using %s", opensslText(r.TLS))
	}
	if err != nil {
		e.trace.Fault("CAPFclient::run() %v", err)
		return r, err
	}
	for _, name := range []string{"QBEClient.cer", "QBEClient.pem"} {
		leave := e.trace.enter("CAPFclient::openFile")
		e.trace.Detail("CAPFclient::openFile() CAPF client: open file %s mode w+b", filepath.Join(r.Folder, name))
		leave()
	}
	return r, nil
}

// opensslText is the cipher suite of enroll.Result.TLS, "TLS 1.2 TLS_RSA_WITH_AES_128_CBC_SHA", in OpenSSL's name.
func opensslText(text string) string {
	name := text[strings.LastIndexByte(text, ' ')+1:]
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if s.Name == name {
			return opensslName(s.ID)
		}
	}
	return name
}

var hashFile = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// tellFolder writes the certificates of the trust list into the trace.
func (e *Enrolment) tellFolder() {
	dir := e.client.Store().Path()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range entries {
		if !hashFile.MatchString(f.Name()) {
			continue
		}
		full := filepath.Join(dir, f.Name())
		e.trace.Detail("CSSLHelper::GetCTLFromTFTP fullname = %s, fileName = %s", full, f.Name())
		if b, err := os.ReadFile(full); err == nil {
			if block, _ := pem.Decode(b); block != nil {
				if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
					e.trace.Detail("CSSLHelper::GetCTLFromTFTP CERT SUBJECTNAME = %s", oneLine(cert.RawSubject))
				}
			}
		}
	}
}

// oneLine is a distinguished name as OpenSSL prints it in one line: /C=IN/O=cisco/CN=...
func oneLine(raw []byte) string {
	var names pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &names); err != nil {
		return "?"
	}
	var b strings.Builder
	for _, rdn := range names {
		for _, a := range rdn {
			key := a.Type.String()
			if k, ok := attributeNames[key]; ok {
				key = k
			}
			fmt.Fprintf(&b, "/%s=%v", key, a.Value)
		}
	}
	return b.String()
}

var attributeNames = map[string]string{"2.5.4.3": "CN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O",
	"2.5.4.11": "OU", "1.2.840.113549.1.9.1": "emailAddress"}

// TLS is the configuration for a connection to a CTI manager, which must stand in the trust list as a call manager. The list
// is fetched anew before, as the field's clients do; where no server answers the one held stays in force.
func (e *Enrolment) TLS(ctx context.Context) (*tls.Config, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	store := e.client.Store()
	held, err := store.List(trustlist.CTL)
	if err != nil {
		return nil, err
	}
	if _, err := store.Credential(); err != nil {
		return nil, err
	}
	if held != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, refreshTime)
		defer cancel()
	}
	if _, err := e.client.Refresh(ctx); err != nil && held == nil {
		return nil, err
	} else if err != nil {
		e.trace.Fault("CSSLHelper::GetCTLFromTFTP %v; the list held stays in force", err)
	}
	return store.ServerTLS(nil), nil
}

// CertificateStatus is what the form shows.
type CertificateStatus struct {
	Available bool
	Reason    string // why not
	Name      string // CTI-<instance>
	Pinned    bool   // the trust list goes back to a join token
	Subject   string
	Issuer    string
	NotAfter  time.Time
	Folder    string
}

// String is Available, or Not Available with the reason.
func (s CertificateStatus) String() string {
	if s.Available {
		return "Available"
	}
	return "Not Available: " + s.Reason
}

// Status looks at the folder.
func (e *Enrolment) Status() CertificateStatus { return StatusOf(e.client.Store()) }

// StatusOf looks at a folder of certificates.
func StatusOf(store *enroll.Store) CertificateStatus {
	s := CertificateStatus{Folder: store.Path()}
	if st, err := store.State(); err == nil {
		s.Name, s.Pinned = st.Name, st.Pinned
	}
	have, err := store.Credential()
	if errors.Is(err, enroll.ErrNone) {
		s.Reason = "none was fetched yet"
		return s
	}
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	s.Subject, s.Issuer, s.NotAfter = oneLine(have.Leaf.RawSubject), oneLine(have.Leaf.RawIssuer), have.Leaf.NotAfter.UTC()
	if now := time.Now(); now.After(have.Leaf.NotAfter) {
		s.Reason = "expired on " + s.NotAfter.Format(time.DateOnly)
		return s
	}
	s.Available = true
	return s
}
