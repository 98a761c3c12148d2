package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/locktone/locktone/service/admin"
)

// certCmd is `locktone cert`.
type certCmd struct {
	Issue  issueCmd        `cmd:"" help:"Issue a certificate for a device or peer and write its files."`
	List   certificatesCmd `cmd:"" help:"Certificates the cluster issued."`
	Revoke revokeCmd       `cmd:"" help:"Revoke a certificate: the next handshake refuses it."`
	Export exportCmd       `cmd:"" help:"Write certificates as the files other products expect."`
	Import importCmd       `cmd:"" help:"Say what is in a file of any format; take it apart, or trust it."`
	Store  storeCmd        `cmd:"" help:"Certificates of others, trusted for a purpose."`
}

// issueCmd is `locktone cert issue NAME`.
type issueCmd struct {
	Name string   `arg:"" help:"Device name, host name of the peer, or application instance."`
	Kind string   `enum:"device,peer,cti-instance" default:"device" help:"Whom it is for: device, peer or cti-instance."`
	DNS  []string `help:"DNS names." name:"dns"`
	IP   []string `help:"IP addresses." name:"ip"`
	URI  []string `help:"URIs, such as sip:example.com." name:"uri"`
	RSA  bool     `help:"RSA 2048 instead of ECDSA P-256." name:"rsa"`
	Days int      `help:"Validity in days; default what the kind has."`
	CSR  string   `help:"Certify the key of this PKCS #10 request." name:"csr" type:"existingfile" placeholder:"FILE"`
	Out  string   `short:"o" help:"Folder for NAME.crt, NAME.key and ca.pem." type:"path" default:"."`
}

// revokeCmd is `locktone cert revoke`.
type revokeCmd struct {
	Issuer string `arg:"" help:"Issuer, as locktone cert list --json shows it."`
	Serial string `arg:"" help:"Serial number."`
	Reason string `help:"Why." default:"revoked by the operator"`
}

// Run issues and writes the files; a key file is never overwritten.
func (c *issueCmd) Run(a *app) error {
	req := admin.CertRequest{Kind: c.Kind, Name: c.Name, DNSNames: c.DNS, IPs: c.IP, URIs: c.URI, RSA: c.RSA, Days: c.Days}
	if c.CSR != "" {
		b, err := os.ReadFile(c.CSR)
		if err != nil {
			return err
		}
		req.CSR = string(b)
	}
	base := filepath.Join(c.Out, filepath.Base(c.Name))
	if _, err := os.Stat(base + ".key"); err == nil && c.CSR == "" {
		return fmt.Errorf("%s.key exists and would be lost; choose another folder with --out", base)
	}
	var issued admin.CertIssued
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/certificates", req, &issued); err != nil {
		return err
	}
	files, err := writeCertificate(c.Out, base, issued)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"entry": issued.Entry, "files": files})
	}
	fmt.Fprintf(a.out, "%s %s: serial %s, until %s\n", issued.Entry.Kind, issued.Entry.Subject, issued.Entry.Serial, issued.Entry.NotAfter.Format("2006-01-02"))
	for _, f := range files {
		fmt.Fprintln(a.out, "  "+f)
	}
	return nil
}

func writeCertificate(dir, base string, issued admin.CertIssued) ([]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var files []string
	for _, f := range []struct {
		name, content string
		mode          os.FileMode
	}{{base + ".key", issued.Key, 0o600}, {base + ".crt", issued.Certificate, 0o644}, {filepath.Join(dir, "ca.pem"), issued.CA, 0o644}} {
		if f.content == "" {
			continue
		}
		if err := os.WriteFile(f.name, []byte(f.content), f.mode); err != nil {
			return files, err
		}
		files = append(files, f.name)
	}
	return files, nil
}

// Run revokes a certificate.
func (c *revokeCmd) Run(a *app) error {
	err := a.api.Do(a.ctx, http.MethodPost, "/v1/certificates/revoke", map[string]string{"issuer": c.Issuer, "serial": c.Serial, "reason": c.Reason}, nil)
	if err == nil && !a.json {
		fmt.Fprintf(a.out, "%s is revoked; connections that exist stay, the next handshake refuses it\n", c.Serial)
	}
	return err
}
