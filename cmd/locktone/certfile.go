package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/certfile"
	"github.com/locktone/locktone/service/admin"
)

// exportCmd is `locktone cert export NAME`.
type exportCmd struct {
	Name         string `arg:"" help:"roots, a service of this node (callmanager, capf, tvs, ...), or the fingerprint of a certificate in a trust store."`
	Format       string `short:"f" enum:"pem,der,p12,0" default:"pem" help:"pem; der; p12 (PKCS #12: a service's certificates with their private keys, roots as a Java trust store); 0 (PEM named by OpenSSL's subject hash, as other products expect a root)."`
	Out          string `short:"o" help:"Folder for the files." type:"path" default:"."`
	PasswordFile string `help:"File whose first line is the password of p12 files; default: it is asked for." type:"existingfile" placeholder:"FILE"`
	Legacy       bool   `help:"Encrypt p12 with triple DES under SHA-1, for products that read nothing else."`
}

// importCmd is `locktone cert import FILE`.
type importCmd struct {
	File         string `arg:"" help:"PEM, DER, PKCS #7 or PKCS #12, whatever its name." type:"existingfile"`
	PasswordFile string `help:"File whose first line is the password of a p12 file; default: it is asked for." type:"existingfile" placeholder:"FILE"`
	Out          string `short:"o" help:"Write what is in it as NAME.crt, NAME.key and ca.pem into this folder." type:"path" placeholder:"DIR"`
	Trust        string `help:"Upload its certificates to this trust store: the authorities among them, or all where there is none." placeholder:"PURPOSE"`
}

// storeCmd is `locktone cert store`.
type storeCmd struct {
	List   storeListCmd   `cmd:"" help:"Certificates of others that are trusted, by purpose."`
	Upload storeUploadCmd `cmd:"" help:"Trust the certificates of a file for a purpose, from the next handshake on."`
	Remove storeRemoveCmd `cmd:"" help:"No longer trust a certificate, from the next handshake on."`
}

type storeListCmd struct {
	Purpose string `arg:"" optional:"" help:"Only this purpose."`
	All     bool   `short:"a" help:"Also what was removed or revoked."`
}

type storeUploadCmd struct {
	Purpose string   `arg:"" help:"callmanager-trust, capf-trust, phone-sast-trust, tvs-trust, tomcat-trust, phone-vpn-trust or directory-trust."`
	File    string   `arg:"" help:"PEM, DER or PKCS #7, whatever its name." type:"existingfile"`
	For     []string `help:"Whom certificates under it authenticate: peer, device. Default what the purpose has."`
	Role    []string `help:"What phones are told of it: CCM, CCM+TFTP, TFTP, SAST. Default what the purpose has."`
}

type storeRemoveCmd struct {
	Purpose     string `arg:"" help:"The purpose; with --revoked it goes from all."`
	Fingerprint string `arg:"" help:"Its first eight digits or more."`
	Reason      string `help:"Why." default:"removed by the operator"`
	Revoked     bool   `help:"Its key is in wrong hands: trust it for nothing, and refuse it at uploads."`
}

// Run writes the files. A file with a private key is never overwritten.
func (c *exportCmd) Run(a *app) error {
	var files []certfile.File
	var err error
	if c.Format == "p12" && c.Name != "roots" {
		files, err = c.keys(a)
	} else {
		files, err = c.public(a)
	}
	if err != nil {
		return err
	}
	written, err := writeFiles(c.Out, files)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"files": written})
	}
	for _, f := range written {
		fmt.Fprintln(a.out, f)
	}
	return nil
}

// keys are a service's certificates with their private keys, one PKCS #12 file each.
func (c *exportCmd) keys(a *app) ([]certfile.File, error) {
	password, err := c.password(a)
	if err != nil {
		return nil, err
	}
	var list admin.Rows[certfile.File]
	err = a.api.Do(a.ctx, http.MethodPost, "/v1/certificates/export", admin.KeyExport{Name: c.Name, Password: string(password), Legacy: c.Legacy}, &list)
	return list.Rows, err
}

// password is that of the files to be written.
func (c *exportCmd) password(a *app) (pki.Secret, error) {
	p, err := passwordFrom(a, c.PasswordFile)
	if err == nil && len([]rune(string(p))) < certfile.MinPassword {
		err = fmt.Errorf("the password is too short: at least %d characters are needed", certfile.MinPassword)
	}
	return p, err
}

// passwordFrom is the first line of a file, or what is typed.
func passwordFrom(a *app, file string) (pki.Secret, error) {
	if file == "" {
		p, err := a.password()
		return pki.Secret(p), err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return pki.Secret(strings.TrimRight(line, "\r")), nil
}

// public are certificates alone.
func (c *exportCmd) public(a *app) ([]certfile.File, error) {
	var list admin.Rows[admin.ExportedCertificate]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/certificates/chain?name="+url.QueryEscape(c.Name), nil, &list); err != nil {
		return nil, err
	}
	var files []certfile.File
	var tops []*x509.Certificate
	for _, row := range list.Rows {
		read, err := certfile.Read([]byte(row.PEM), nil)
		if err != nil {
			return nil, err
		}
		tops = append(tops, read.Certificates[0])
		switch c.Format {
		case "pem":
			files = append(files, certfile.File{Name: row.Name + ".pem", Data: []byte(row.PEM)})
		case "der":
			files = append(files, certfile.File{Name: row.Name + ".der", Data: read.Certificates[0].Raw})
		}
	}
	switch c.Format {
	case "0":
		return certfile.HashFiles(tops)
	case "p12":
		password, err := c.password(a)
		if err != nil {
			return nil, err
		}
		b, err := certfile.WriteTrustPKCS12(tops, certfile.PKCS12Options{Password: password, Legacy: c.Legacy})
		return []certfile.File{{Name: c.Name + ".p12", Data: b}}, err
	}
	return files, nil
}

// writeFiles writes files into a folder, those with a private key for the owner alone.
func writeFiles(dir string, files []certfile.File) (written []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.Base(f.Name))
		if f.Secret {
			err = writeNew(path, f.Data)
		} else {
			err = os.WriteFile(path, f.Data, 0o644)
		}
		if err != nil {
			return written, err
		}
		written = append(written, path)
	}
	return written, nil
}

// writeNew writes a file that must not be there yet, for the owner alone.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and would be lost; choose another folder with --out", path)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// contentsRow is a certificate of a file, for people and for --json.
type contentsRow struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Key         string    `json:"key"`
	CA          bool      `json:"ca"`
	PrivateKey  bool      `json:"privateKey"`
	NotAfter    time.Time `json:"notAfter"`
	Fingerprint string    `json:"fingerprint"`
}

// importAnswer is what an import did.
type importAnswer struct {
	Format       string                     `json:"format"`
	Certificates []contentsRow              `json:"certificates"`
	Files        []string                   `json:"files,omitempty"`
	Trusted      []admin.TrustedCertificate `json:"trusted,omitempty"`
}

// Run says what is in a file, and writes or uploads it where that is asked for.
func (c *importCmd) Run(a *app) error {
	contents, err := c.read(a)
	if err != nil {
		return err
	}
	answer := importAnswer{Format: contents.Format.String()}
	for i, x := range contents.Certificates {
		answer.Certificates = append(answer.Certificates, contentsRow{x.Subject.String(), x.Issuer.String(), pki.KeyName(x), x.IsCA, i == 0 && !contents.Key.IsZero(), x.NotAfter.UTC(), pki.Fingerprint(x)})
	}
	if c.Out != "" {
		files, err := parts(contents, c.File)
		if err != nil {
			return err
		}
		if answer.Files, err = writeFiles(c.Out, files); err != nil {
			return err
		}
	}
	if c.Trust != "" {
		var list admin.Rows[admin.TrustedCertificate]
		if err := upload(a, c.Trust, admin.TrustUpload{Data: certfile.WritePEM(authorities(contents.Certificates)...), File: filepath.Base(c.File)}, &list); err != nil {
			return err
		}
		answer.Trusted = list.Rows
	}
	return c.print(a, answer)
}

// read reads the file; a password is asked for when the file turns out to need one.
func (c *importCmd) read(a *app) (certfile.Contents, error) {
	b, err := readBounded(c.File)
	if err != nil {
		return certfile.Contents{}, err
	}
	contents, err := certfile.Read(b, nil)
	if errors.Is(err, certfile.ErrPassword) && contents.Format == certfile.PKCS12 {
		password, err := passwordFrom(a, c.PasswordFile)
		if err != nil {
			return contents, err
		}
		if password == nil {
			password = pki.Secret{}
		}
		return certfile.Read(b, password)
	}
	return contents, err
}

// readBounded reads a file that cannot be larger than certificates are.
func readBounded(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > certfile.MaxFile {
		return nil, fmt.Errorf("%s has %s; files of certificates have at most %s", path, bytesText(st.Size()), bytesText(certfile.MaxFile))
	}
	return os.ReadFile(path)
}

// authorities are the CAs of a list, or all of it where there is none.
func authorities(list []*x509.Certificate) []*x509.Certificate {
	cas := slices.DeleteFunc(slices.Clone(list), func(c *x509.Certificate) bool { return !c.IsCA })
	if len(cas) == 0 {
		return list
	}
	return cas
}

// parts are the contents as the files that `cert issue` writes too.
func parts(c certfile.Contents, path string) ([]certfile.File, error) {
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	cas := slices.DeleteFunc(slices.Clone(c.Certificates), func(x *x509.Certificate) bool { return !x.IsCA })
	cred, ok := c.Credential()
	if !ok {
		leaves := slices.DeleteFunc(slices.Clone(c.Certificates), func(x *x509.Certificate) bool { return x.IsCA })
		return publicParts(base, leaves, cas), nil
	}
	key, err := cred.KeyPEM()
	if err != nil {
		return nil, err
	}
	return append([]certfile.File{{Name: base + ".key", Data: key, Secret: true}}, publicParts(base, cred.Chain, cas)...), nil
}

func publicParts(base string, leaves, cas []*x509.Certificate) (out []certfile.File) {
	if len(leaves) > 0 {
		out = append(out, certfile.File{Name: base + ".crt", Data: certfile.WritePEM(leaves...)})
	}
	if len(cas) > 0 {
		out = append(out, certfile.File{Name: "ca.pem", Data: certfile.WritePEM(cas...)})
	}
	return out
}

func (c *importCmd) print(a *app, answer importAnswer) error {
	if a.json {
		return a.printJSON(answer)
	}
	fmt.Fprintf(a.out, "%s: %s\n", filepath.Base(c.File), answer.Format)
	var cells [][]string
	for _, r := range answer.Certificates {
		cells = append(cells, []string{r.Subject, r.Issuer, r.Key, yes(r.CA), yes(r.PrivateKey), r.NotAfter.Format(time.DateOnly), r.Fingerprint[:16]})
	}
	a.table([]string{"SUBJECT", "ISSUER", "KEY", "CA", "PRIVATE KEY", "ENDS", "FINGERPRINT"}, cells, "")
	for _, f := range answer.Files {
		fmt.Fprintln(a.out, f)
	}
	printUploaded(a, answer.Trusted)
	return nil
}

// Run lists trust stores.
func (c *storeListCmd) Run(a *app) error {
	path := "/v1/trust/stores"
	if c.Purpose != "" {
		path += "?purpose=" + url.QueryEscape(c.Purpose)
	}
	var list admin.Rows[admin.TrustedCertificate]
	if err := a.api.Do(a.ctx, http.MethodGet, path, nil, &list); err != nil {
		return err
	}
	if !c.All {
		list.Rows = slices.DeleteFunc(list.Rows, func(r admin.TrustedCertificate) bool { return r.State != "trusted" })
	}
	if a.json {
		return a.printJSON(list)
	}
	var cells [][]string
	for _, r := range list.Rows {
		state := r.State
		if state == "trusted" {
			state = ""
		}
		cells = append(cells, []string{r.Purpose, r.Subject, r.Key, yes(r.CA), r.NotAfter.Format(time.DateOnly), strings.Join(r.TrustedFor, ","), strings.Join(r.Roles, ","),
			r.Fingerprint[:16], r.From, state, r.Reason})
	}
	a.table([]string{"PURPOSE", "SUBJECT", "KEY", "CA", "ENDS", "FOR", "ROLES", "FINGERPRINT", "FROM", "STATE", "REASON"}, cells, "nothing was uploaded")
	return nil
}

func upload(a *app, purpose string, u admin.TrustUpload, out *admin.Rows[admin.TrustedCertificate]) error {
	return a.api.Do(a.ctx, http.MethodPost, "/v1/trust/stores/"+url.PathEscape(purpose), u, out)
}

// Run uploads a file. It is looked at here first, so that a private key in it does not leave this place.
func (c *storeUploadCmd) Run(a *app) error {
	b, err := readBounded(c.File)
	if err != nil {
		return err
	}
	contents, err := certfile.Read(b, nil)
	switch {
	case errors.Is(err, certfile.ErrPassword):
		return fmt.Errorf("%s is encrypted: locktone cert import --trust %s asks for its password and sends the certificates alone", c.File, c.Purpose)
	case err != nil:
		return fmt.Errorf("%s: %w", c.File, err)
	case !contents.Key.IsZero():
		return fmt.Errorf("%s holds a private key: upload the certificate alone (locktone cert import --trust %s does)", c.File, c.Purpose)
	}
	var list admin.Rows[admin.TrustedCertificate]
	if err := upload(a, c.Purpose, admin.TrustUpload{Data: b, File: filepath.Base(c.File), For: c.For, Role: c.Role}, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	printUploaded(a, list.Rows)
	return nil
}

func printUploaded(a *app, list []admin.TrustedCertificate) {
	for _, r := range list {
		what := ""
		if len(r.TrustedFor) > 0 {
			what = ", trusted for " + strings.Join(r.TrustedFor, " and ") + " from the next handshake on"
		}
		if len(r.Roles) > 0 {
			what += ", told to phones as " + strings.Join(r.Roles, " and ")
		}
		fmt.Fprintf(a.out, "%s: %s %s%s\n", r.Purpose, r.Subject, r.Fingerprint[:16], what)
		fmt.Fprint(a.out, r.Findings.Text(r.Subject))
	}
}

// Run removes or revokes.
func (c *storeRemoveCmd) Run(a *app) error {
	var rows []admin.TrustedCertificate
	if c.Revoked {
		var list admin.Rows[admin.TrustedCertificate]
		if err := a.api.Do(a.ctx, http.MethodPost, "/v1/trust/revoke", map[string]string{"fingerprint": c.Fingerprint, "reason": c.Reason}, &list); err != nil {
			return err
		}
		rows = list.Rows
	} else {
		var row admin.TrustedCertificate
		path := "/v1/trust/stores/" + url.PathEscape(c.Purpose) + "/" + url.PathEscape(c.Fingerprint) + "?reason=" + url.QueryEscape(c.Reason)
		if err := a.api.Do(a.ctx, http.MethodDelete, path, nil, &row); err != nil {
			return err
		}
		rows = []admin.TrustedCertificate{row}
	}
	if a.json {
		return a.printJSON(rows)
	}
	for _, r := range rows {
		fmt.Fprintf(a.out, "%s: %s is %s; the next handshake does not trust it\n", r.Purpose, r.Subject, r.State)
	}
	return nil
}
