package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/locktone/locktone/service/admin"
)

// capfCmd is `locktone capf`.
type capfCmd struct {
	Profile  capfProfileCmd  `cmd:"" help:"Enrolment profiles: who may fetch a certificate, how, and what became of it."`
	Requests capfRequestsCmd `cmd:"" help:"Requests to an offline certificate authority."`
}

// capfProfileCmd is `locktone capf profile`.
type capfProfileCmd struct {
	Create capfCreateCmd `cmd:"" help:"Make a profile, or give one its next operation; prints the authorization string once."`
	List   capfListCmd   `cmd:"" help:"All profiles."`
	Show   capfShowCmd   `cmd:"" help:"One profile, as the form shows it."`
	Reset  capfResetCmd  `cmd:"" help:"Lift a lock-out after wrong authorization strings."`
	Delete capfDeleteCmd `cmd:"" help:"Forget a profile."`
}

// capfCreateCmd is `locktone capf profile create`.
type capfCreateCmd struct {
	Device      string `xor:"owner" help:"Device, such as SEP001122334455."`
	User        string `xor:"owner" help:"Application user or end user, together with --instance."`
	Instance    string `help:"Instance id: 1 to 128 letters and digits." placeholder:"ID"`
	EndUser     bool   `help:"The user is an end user; the default is an application user."`
	Operation   string `enum:"install,delete,troubleshoot,none" default:"install" help:"Certificate operation: install (Install/Upgrade), delete, troubleshoot or none."`
	Mode        string `enum:"authentication-string,null-string,existing-certificate-lsc,existing-certificate-mic," default:"" help:"Authentication mode; default what the device's phone security profile says." placeholder:"MODE"`
	String      string `help:"Authorization string, 4 to 16 digits, or - to read it from standard input; default: ten digits are made up." placeholder:"DIGITS"`
	JoinToken   bool   `help:"Hand the string out inside a join token that pins the signers of the trust list."`
	KeyOrder    string `enum:"rsa-only,ec-only,ec-preferred-rsa-backup," default:"" help:"Key order; default what the device's phone security profile says." placeholder:"ORDER"`
	RSAKeySize  int    `name:"rsa-key-size" help:"RSA key size in bits: 2048, 3072, 4096." placeholder:"BITS"`
	ECKeySize   int    `name:"ec-key-size" help:"EC key size in bits: 256, 384, 521." placeholder:"BITS"`
	CompletesBy string `help:"Operation completes by YYYY:MM:DD:HH, in UTC; default in ten days." placeholder:"TIME"`
	Replace     bool   `help:"Give up an operation that is pending."`
}

// capfOwnerArg names a profile.
type capfOwnerArg struct {
	Owner string `arg:"" help:"Device name, or user/instance id."`
}

type (
	capfListCmd struct{}
	capfShowCmd struct{ capfOwnerArg }
)

// capfResetCmd is `locktone capf profile reset OWNER`.
type capfResetCmd struct {
	capfOwnerArg
	Cancel bool `help:"Give up the pending operation and its string, too."`
}

// capfDeleteCmd is `locktone capf profile delete OWNER`.
type capfDeleteCmd struct {
	capfOwnerArg
	Revoke bool `help:"Revoke the certificates, too."`
}

// Run makes the profile.
func (c *capfCreateCmd) Run(a *app) error {
	if c.String == "-" {
		b, err := io.ReadAll(io.LimitReader(a.stdin(), 256))
		if err != nil {
			return err
		}
		if c.String = strings.TrimSpace(string(b)); c.String == "" {
			return errors.New("standard input holds no authorization string")
		}
	}
	order := admin.CAPFOrder{Device: c.Device, User: c.User, Instance: c.Instance, EndUser: c.EndUser, Operation: c.Operation, Mode: c.Mode, String: c.String,
		JoinToken: c.JoinToken, KeyOrder: c.KeyOrder, RSAKeySize: c.RSAKeySize, ECKeySize: c.ECKeySize, CompletesBy: c.CompletesBy, Replace: c.Replace}
	var made admin.CAPFCreated
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/capf/profiles", order, &made); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(made)
	}
	p := made.Profile
	fmt.Fprintf(a.out, "%s: %s, %s", p.Owner, p.Operation, p.Mode)
	if p.CompletesBy != "" {
		fmt.Fprintf(a.out, ", completes by %s UTC", p.CompletesBy)
	}
	fmt.Fprintln(a.out)
	switch {
	case made.JoinToken != "":
		fmt.Fprintf(a.out, "join token: %s\nIt is shown only now, and is good for one enrolment.\n", made.JoinToken)
	case made.String != "":
		fmt.Fprintf(a.out, "authorization string: %s\nIt is shown only now, and is good for one enrolment.\n", made.String)
	}
	return nil
}

func (a *app) stdin() io.Reader {
	if a.in != nil {
		return a.in
	}
	return os.Stdin
}

// Run lists the profiles.
func (c *capfListCmd) Run(a *app) error {
	return rows(a, "/v1/capf/profiles", "", []string{"OWNER", "OPERATION", "MODE", "COMPLETES BY", "STATUS", "LSC EXPIRES", "PINNED", "LOCKED UNTIL", "LAST ADDRESS"}, "no enrolment profiles",
		func(p admin.CAPFProfile) []string {
			expires, pinned := "", ""
			if p.LSC != nil {
				expires, pinned = day(p.LSC.Expires), yes(!p.Unpinned)
			}
			return []string{p.Owner, p.Operation, p.Mode, p.CompletesBy, p.Status, expires, pinned, clock(p.LockedUntil), p.LastRemote}
		})
}

// Run shows one profile.
func (c *capfShowCmd) Run(a *app) error {
	var list admin.Rows[admin.CAPFProfile]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/capf/profiles?name="+url.QueryEscape(c.Owner), nil, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list.Rows[0])
	}
	a.form(capfForm(list.Rows[0]))
	return nil
}

// capfForm is a profile in the words and the order of the field's form.
func capfForm(p admin.CAPFProfile) [][2]string {
	who, heading := [2]string{"Device Name", p.Device}, "Application User"
	if p.EndUser {
		heading = "End User"
	}
	out := [][2]string{who}
	if p.Device == "" {
		out = [][2]string{{heading, p.User}, {"Instance Id", p.Instance}}
	}
	set := ""
	if p.HasString {
		set = "set"
		if p.JoinToken {
			set = "set, inside a join token"
		}
	}
	out = append(out, [2]string{"Certificate Operation", p.Operation}, [2]string{"Authentication Mode", p.Mode}, [2]string{"Authentication String", set},
		[2]string{"Key Order", p.KeyOrder}, [2]string{"RSA Key Size (Bits)", strconv.Itoa(p.RSAKeySize)}, [2]string{"EC Key Size (Bits)", strconv.Itoa(p.ECKeySize)},
		[2]string{"Operation Completes By", p.CompletesBy}, [2]string{"Certificate Operation Status", p.Status})
	if p.LSC != nil {
		out = append(out, [2]string{"LSC", p.LSC.Serial + " of " + p.LSC.Issuer}, [2]string{"LSC Expires", day(p.LSC.Expires)}, [2]string{"LSC Issuer Expires", day(p.LSC.IssuerEnds)},
			[2]string{"Enrolled without pinning", yes(p.Unpinned)})
	}
	if p.Unconfirmed != nil {
		out = append(out, [2]string{"Sent, not confirmed", p.Unconfirmed.Serial})
	}
	for _, c := range p.Fetched {
		out = append(out, [2]string{"Certificate it holds", c.Serial + " of " + c.Issuer + ", expires " + day(c.Expires)})
	}
	if p.Superseded > 0 {
		out = append(out, [2]string{"Replaced, still valid", strconv.Itoa(p.Superseded)})
	}
	if p.Failures > 0 {
		out = append(out, [2]string{"Wrong strings", strconv.Itoa(p.Failures)})
	}
	return append(out, [2]string{"Locked until", clock(p.LockedUntil)}, [2]string{"Request to the authority", p.Waiting}, [2]string{"Last contact", strings.TrimSpace(p.LastRemote + " " + clock(p.LastContact))})
}

// form prints names and values; what has no value is left out.
func (a *app) form(lines [][2]string) {
	for _, l := range lines {
		if l[1] != "" {
			fmt.Fprintf(a.out, "%-30s %s\n", l[0], l[1])
		}
	}
}

// Run lifts the lock-out.
func (c *capfResetCmd) Run(a *app) error {
	var p admin.CAPFProfile
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/capf/profiles/reset", admin.CAPFOwner{Owner: c.Owner, Cancel: c.Cancel}, &p); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	fmt.Fprintf(a.out, "%s: no lock-out; %s, %s\n", p.Owner, p.Operation, p.Status)
	return nil
}

// Run forgets the profile.
func (c *capfDeleteCmd) Run(a *app) error {
	var p admin.CAPFProfile
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/capf/profiles/delete", admin.CAPFOwner{Owner: c.Owner, Revoke: c.Revoke}, &p); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	note := ""
	if p.LSC != nil {
		note = "; its certificate stays valid until " + day(p.LSC.Expires)
		if c.Revoke {
			note = "; its certificate is revoked"
		}
	}
	fmt.Fprintf(a.out, "%s is forgotten%s\n", p.Owner, note)
	return nil
}

// capfRequestsCmd is `locktone capf requests`.
type capfRequestsCmd struct {
	List   capfRequestListCmd `cmd:"" help:"Requests, with what became of them."`
	Export capfExportCmd      `cmd:"" help:"Write the files an offline authority issues from."`
	Import capfImportCmd      `cmd:"" help:"Take in certificates the offline authority issued."`
	Reject capfRejectCmd      `cmd:"" help:"Say that the authority will not issue."`
}

type capfRequestListCmd struct{}

// capfExportCmd is `locktone capf requests export`.
type capfExportCmd struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Requests; default: all that wait."`
	Out string   `short:"o" help:"Folder for the files." type:"path" default:"."`
}

// capfImportCmd is `locktone capf requests import`.
type capfImportCmd struct {
	Files []string `arg:"" name:"file" help:"Certificates in PEM; those of authorities in between may be among them." type:"existingfile"`
}

// capfRejectCmd is `locktone capf requests reject`.
type capfRejectCmd struct {
	ID     string `arg:"" help:"The request."`
	Reason string `help:"Why." default:"the authority refused"`
}

// Run lists the requests.
func (c *capfRequestListCmd) Run(a *app) error {
	return rows(a, "/v1/capf/requests", "", []string{"ID", "OWNER", "COMMON NAME", "STATE", "ASKED", "EXPORTED", "ADDRESS", "REASON"}, "no requests",
		func(r admin.CAPFRequest) []string {
			return []string{r.ID, r.Owner, r.CommonName, r.State, clock(r.Asked), clock(r.Exported), r.Address, r.Reason}
		})
}

// Run writes two files a request: see the note it prints.
func (c *capfExportCmd) Run(a *app) error {
	var list admin.Rows[admin.CAPFRequest]
	in := map[string]any{}
	if len(c.IDs) > 0 {
		in["ids"] = c.IDs
	}
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/capf/requests/export", in, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list.Rows) == 0 {
		fmt.Fprintln(a.out, "no request waits")
		return nil
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	for _, r := range list.Rows {
		for _, f := range []struct{ suffix, text string }{{".csr", r.CSR}, {".pub", r.Key}} {
			if f.text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(c.Out, r.ID+f.suffix), []byte(f.text), 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.out, "%s  %s\n", filepath.Join(c.Out, r.ID), r.Owner)
	}
	fmt.Fprint(a.out, exportNote)
	return nil
}

const exportNote = `The key to be certified is in ID.pub: its holder sent no request of its own, so ID.csr is signed by the registration
key of CAPF and says subject and extensions. Issue with the one and the other:
  openssl x509 -req -in ID.csr -force_pubkey ID.pub -CA ca.pem -CAkey ca.key -copy_extensions copyall -days 1095 -out ID.pem
Then: locktone capf requests import ID.pem
`

// Run hands the certificates over.
func (c *capfImportCmd) Run(a *app) error {
	var all strings.Builder
	for _, f := range c.Files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		all.Write(append(b, '\n'))
	}
	var list admin.Rows[admin.CAPFRequest]
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/capf/requests/import", map[string]string{"pem": all.String()}, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	for _, r := range list.Rows {
		fmt.Fprintf(a.out, "%s: its certificate is handed over while it waits, or at its next contact\n", r.Owner)
	}
	a.problems(list.Problems)
	return nil
}

// Run rejects a request.
func (c *capfRejectCmd) Run(a *app) error {
	var r admin.CAPFRequest
	if err := a.api.Do(a.ctx, http.MethodPost, "/v1/capf/requests/reject", map[string]string{"id": c.ID, "reason": c.Reason}, &r); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	fmt.Fprintf(a.out, "%s: rejected: %s\n", r.Owner, r.Reason)
	return nil
}
