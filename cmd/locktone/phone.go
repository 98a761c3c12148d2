package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/capf"
)

// phoneCmd is `locktone phone`: the client's side, against any call manager.
type phoneCmd struct {
	Enroll phoneEnrollCmd `cmd:"" help:"Enrol a CTI application or a device: fetch the trust list, and obtain a certificate from CAPF."`
}

// phoneEnrollCmd is `locktone phone enroll`.
type phoneEnrollCmd struct {
	TFTP     string        `help:"TFTP server, HOST or HOST:PORT." required:"" name:"tftp" placeholder:"HOST"`
	CAPF     string        `help:"CAPF server, HOST or HOST:PORT; default the TFTP server's host." name:"capf" placeholder:"HOST"`
	Name     string        `help:"Device name, such as SEP001122334455." xor:"who" required:"" placeholder:"NAME"`
	Instance string        `help:"Instance id of the application's CAPF profile." xor:"who" required:"" placeholder:"ID"`
	String   string        `help:"Authorization string; - reads it from standard input." xor:"string" env:"LOCKTONE_AUTHORIZATION" placeholder:"STRING"`
	Token    string        `help:"Join token, which pins the signers of the trust list; - reads it from standard input." xor:"string" placeholder:"LT1-..."`
	Dir      string        `help:"Folder in which tsp001 is made." type:"path" default:"."`
	Retries  int           `help:"How often to try again when the cause may pass." default:"0" placeholder:"N"`
	Every    time.Duration `help:"Pause before each retry." default:"30s"`
	Renew    bool          `help:"Stay, and renew the certificate after two thirds of its lifetime."`
	HashOld  bool          `help:"Name the certificates also by the subject hash of OpenSSL before 1.0."`
	Legacy   bool          `help:"Exception capf-legacy-rsa: also offer cipher suites without forward secrecy, for old call managers." name:"legacy-rsa"`
	Block    int           `help:"TFTP block size to ask for; 0 asks for no options." default:"0" placeholder:"N"`
	Version  uint8         `help:"Protocol version to announce, 1 to 3; default 1 for an application with a string, else 3." default:"0" placeholder:"N"`
}

// Run enrols once, or for as long as it runs.
func (c *phoneEnrollCmd) Run(a *app) error {
	authorization, err := c.authorization(a)
	if err != nil {
		return err
	}
	client, err := enroll.New(enroll.Config{Instance: c.Instance, Device: c.Name, Authorization: authorization, Dir: c.Dir, TFTP: c.TFTP, CAPF: c.server(),
		Source: enroll.TFTP{Server: c.TFTP, BlockSize: c.Block}, Retries: c.Retries, Every: c.Every, HashOld: c.HashOld, LegacyRSA: c.Legacy, Version: c.Version, Observe: a.told})
	if err != nil {
		return explained(err)
	}
	if c.Renew {
		if err := client.Keep(a.ctx); a.ctx.Err() == nil {
			return explained(err)
		}
		return nil
	}
	result, err := client.Enroll(a.ctx)
	if err != nil {
		return explained(err)
	}
	if a.json {
		return a.printJSON(result)
	}
	a.printEnrolled(result)
	return nil
}

// server is CAPF's address.
func (c *phoneEnrollCmd) server() string {
	if c.CAPF != "" {
		return c.CAPF
	}
	if host, _, found := strings.Cut(c.TFTP, ":"); found && strings.Count(c.TFTP, ":") == 1 {
		return host
	}
	return c.TFTP
}

// authorization reads the string or token; on the command line everybody on the machine can see it.
func (c *phoneEnrollCmd) authorization(a *app) (capf.JoinToken, error) {
	text := c.String + c.Token
	if text == "-" {
		in := a.in
		if in == nil {
			in = os.Stdin
		}
		b, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return capf.JoinToken{}, err
		}
		text = strings.TrimSpace(string(b))
	}
	if c.Token != "" && !capf.IsJoinToken(text) {
		return capf.JoinToken{}, errors.New("this is not a join token, which begins with LT1-; a plain authorization string is given with --string")
	}
	return enroll.ParseAuthorization(text)
}

// told prints what happens while it happens; in JSON only the result is printed.
func (a *app) told(e enroll.Event) {
	if a.json {
		return
	}
	fmt.Fprintln(a.err, e.Text)
	if e.Err != nil {
		fmt.Fprintln(a.err, " ", e.Err)
	}
}

// explained gives an enrolment's error the form of all errors here.
func explained(err error) error {
	var e *enroll.Error
	if !errors.As(err, &e) {
		return err
	}
	return &admin.Problem{Code: admin.Code("enroll-" + strings.ReplaceAll(e.Step.String(), " ", "-")), Detail: e.Sentence(), Advice: strings.TrimSuffix(e.Advice, ".")}
}

func (a *app) printEnrolled(r enroll.Result) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.out, "%-18s%s\n", name, value)
		}
	}
	line("Name", r.Name)
	line("Operation", r.Done)
	line("Folder", r.Folder)
	pinned := "no: the first list was trusted on first use"
	if r.Pinned {
		pinned = "yes"
	}
	line("Trust list", fmt.Sprintf("%s of %s, signed by %s", r.List, r.ListTime.Format(time.RFC3339), r.ListSigner))
	line("Pinned", pinned)
	line("CAPF", r.Server)
	line("TLS", r.TLS)
	line("Certificate", r.Subject)
	line("Issuer", r.Issuer)
	line("Serial number", r.Serial)
	if r.Certificate != nil {
		line("Valid until", r.NotAfter.Format(time.RFC3339))
		line("To be renewed", r.Renew.Format(time.RFC3339))
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(a.out, "note:", w)
	}
}
