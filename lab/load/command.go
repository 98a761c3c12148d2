package load

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/sip"
)

const help = `locktone load [calls|register|connect] --server IP:PORT [flags]

A load generator for any SIP server: phones with a certificate each register over mutual TLS (or TCP, or UDP), half of them call
the other half through the server at a given rate, with SDES keys and, with --media, SRTP both ways. Both ends of every
call are in this process, so times are on one clock and media counts are of packets that were authenticated.

  calls      (default) calls at --rate: INVITE to 180 and to 200, failures by status, retransmissions
  register   refreshes of registrations at --rate
  connect    full mutual TLS handshakes at --rate (--resume: with session tickets)

Examples

  A Locktone site of this machine, which issues the certificates (devices load1 to load20 with the same numbers must be
  configured; locktone apply adds them):
    locktone load --server 127.0.1.10:5061 --home var --phones 20 --rate 100 --count 3000

  Any PBX, extensions 2001 to 2010, digest, certificates from an authority the PBX trusts, ten calls up with SRTP:
    locktone load --server 10.0.0.5:5061 --i-may-load 10.0.0.5 --name pbx.example.com --domain example.com \
        --user '%d' --first 2001 --phones 10 --password-file pw --ca ca.pem --ca-key ca.key --roots pbx-ca.pem \
        --rate 5 --count 50 --hold 10s --media

Exit codes: 0 all ended well; 1 something failed. Flags:
`

// ErrFailed: the run went through and something in it failed; the result has been printed.
var ErrFailed = errors.New("something failed")

// options are the command line.
type options struct {
	cfg                                                Config
	server, from, suite, srtp                          string
	ca, caKey, cert, key, certs, roots, home, password string
	json                                               bool
}

func (o *options) flags(out io.Writer) *flag.FlagSet {
	f, c := flag.NewFlagSet("load", flag.ContinueOnError), &o.cfg
	f.SetOutput(out)
	f.Usage = func() { _, _ = io.WriteString(out, help); printFlags(out, f) }
	f.StringVar(&o.server, "server", "", "`IP:PORT` of the server")
	f.StringVar(&c.AllowHost, "i-may-load", "", "`IP` of a server that is not on this machine: its owner agreed")
	f.StringVar(&c.Name, "name", "", "`NAME` that the server's certificate must carry (default: its address)")
	f.StringVar(&c.Domain, "domain", "", "SIP domain of the phones (default: the server's address)")
	f.StringVar(&c.Network, "transport", "tls", "tls, tcp or udp")
	f.StringVar(&o.from, "from", "", "our own `IP`")
	f.IntVar(&c.Spread, "spread", 0, "`N` source addresses for the phones, --from and those after it")
	f.IntVar(&c.Phones, "phones", 2, "how many phones; the first half calls the second")
	f.StringVar(&c.User, "user", "load%d", "user part of each phone, %d is its number")
	f.IntVar(&c.First, "first", 1, "number of the first phone")
	f.StringVar(&c.Device, "device", "", "common name of its certificate, %d is its number (default: as --user)")
	f.StringVar(&c.Target, "call", "", "`NUMBER` that all phones call, instead of each other")
	f.BoolVar(&c.NoRegister, "no-register", false, "do not register")
	f.StringVar(&o.password, "password-file", "", "`FILE` with the phones' digest password")
	f.BoolVar(&c.AllowMD5, "allow-md5", false, "answer a digest challenge that offers MD5 only")
	f.StringVar(&o.ca, "ca", "", "`FILE`: certificate of an authority that the server trusts for phones")
	f.StringVar(&o.caKey, "ca-key", "", "`FILE`: its key; a certificate is made for each phone")
	f.StringVar(&o.certs, "certs", "", "`DIR` with NAME.crt and NAME.key of each phone")
	f.StringVar(&o.cert, "cert", "", "`FILE`: one certificate for all phones")
	f.StringVar(&o.key, "key", "", "`FILE`: its key")
	f.StringVar(&o.home, "home", "", "`DIR` of a running Locktone site, which issues the certificates")
	f.StringVar(&o.roots, "roots", "", "`FILE`: authorities that may have issued the server's certificate (default: --ca)")
	f.IntVar(&c.Count, "count", 100, "calls, registrations or handshakes in all")
	f.Float64Var(&c.Rate, "rate", 10, "how many of them a second")
	f.DurationVar(&c.Duration, "duration", 0, "end after this time even if --count is not reached")
	f.DurationVar(&c.Hold, "hold", 0, "how long an answered call lasts")
	f.DurationVar(&c.Ring, "ring", 0, "how long the callee rings")
	f.DurationVar(&c.Timeout, "timeout", 32*time.Second, "for an answer")
	f.StringVar(&o.srtp, "srtp", "both", "which ends use SRTP: both, caller, callee, none")
	f.StringVar(&o.suite, "suite", "AES_CM_128_HMAC_SHA1_80", "SRTP suite")
	f.BoolVar(&c.Media, "media", false, "send and check 50 packets a second each way")
	f.BoolVar(&c.Resume, "resume", false, "mode connect: resume TLS sessions")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	return f
}

func printFlags(out io.Writer, f *flag.FlagSet) {
	f.VisitAll(func(x *flag.Flag) {
		kind, text := flag.UnquoteUsage(x)
		fmt.Fprintf(out, "  --%-28s %s", strings.TrimSpace(x.Name+" "+kind), text)
		if x.DefValue != "" && x.DefValue != "0" && x.DefValue != "0s" && x.DefValue != "false" {
			fmt.Fprintf(out, " (%s)", x.DefValue)
		}
		fmt.Fprintln(out)
	})
}

// Command is `locktone load`: it reads the arguments, does the run and prints the result to out.
func Command(ctx context.Context, args []string, out io.Writer, progress func(string)) error {
	var o options
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.cfg.Mode, args = Mode(args[0]), args[1:]
	}
	f := o.flags(out)
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("load: what is %q? locktone load --help lists the flags", f.Arg(0))
	}
	o.cfg.Progress = progress
	end, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	defer end()
	r, err := Run(ctx, o.cfg)
	if r != nil {
		if o.json {
			e := json.NewEncoder(out)
			e.SetIndent("", "  ")
			err = errors.Join(err, e.Encode(r))
		} else {
			r.Print(out)
		}
		if err == nil && r.Failed > 0 {
			err = ErrFailed
		}
	}
	return err
}

// resolve turns text into values and files into certificates.
func (o *options) resolve(ctx context.Context) (end func(), err error) {
	c := &o.cfg
	end = func() {}
	if o.server == "" {
		return end, errors.New("load: no server: give --server IP:PORT; locktone load --help explains")
	}
	if c.Server, err = netip.ParseAddrPort(o.server); err != nil {
		return end, fmt.Errorf("load: --server %q: expected IP:PORT", o.server)
	}
	if o.from != "" {
		if c.From, err = netip.ParseAddr(o.from); err != nil {
			return end, fmt.Errorf("load: --from: %w", err)
		}
	}
	c.SRTP = Protection(o.srtp)
	if !slices.Contains([]Protection{Both, Caller, Callee, None}, c.SRTP) {
		return end, fmt.Errorf("load: --srtp %q: expected both, caller, callee or none", o.srtp)
	}
	if c.Suite = suiteNamed(o.suite); c.Suite == sdp.NoSuite {
		return end, fmt.Errorf("load: --suite %q: expected one of %s", o.suite, strings.Join(suiteNames(), ", "))
	}
	if o.password != "" {
		b, err := os.ReadFile(o.password)
		if err != nil {
			return end, fmt.Errorf("load: --password-file: %w", err)
		}
		c.Password = sip.NewSecret(strings.TrimRight(string(b), "\r\n"))
	}
	if c.Network != "tls" {
		return end, nil
	}
	end, err = o.certificates(ctx)
	if err != nil {
		err = fmt.Errorf("load: %w", err)
	}
	return end, err
}

func suites() []sdp.Suite {
	return []sdp.Suite{sdp.AES_CM_128_HMAC_SHA1_80, sdp.AES_CM_128_HMAC_SHA1_32, sdp.AEAD_AES_128_GCM, sdp.AEAD_AES_256_GCM}
}

func suiteNamed(name string) sdp.Suite {
	for _, s := range suites() {
		if strings.EqualFold(s.String(), name) {
			return s
		}
	}
	return sdp.NoSuite
}

func suiteNames() (names []string) {
	for _, s := range suites() {
		names = append(names, s.String())
	}
	return names
}

// certificates finds out where the phones' certificates come from.
func (o *options) certificates(ctx context.Context) (end func(), err error) {
	c := &o.cfg
	end = func() {}
	c.Roots = x509.NewCertPool()
	switch {
	case o.home != "":
		if c.Certificate, c.Roots, end, err = fromSite(ctx, o.home); err != nil {
			return end, err
		}
		if _, err = c.Certificate(name(first(c.Device, c.User, "load%d"), c.First)); err != nil { // learns the roots too
			return end, err
		}
	case o.ca != "":
		a, err := OpenAuthority(o.ca, o.caKey)
		if err != nil {
			return end, err
		}
		c.Certificate = a.Phones()
		c.Roots.AddCert(a.Certificate)
	case o.certs != "":
		if c.Certificate, err = folder(o.certs); err != nil {
			return end, err
		}
	case o.cert != "":
		if c.Certificate, err = oneForAll(o.cert, o.key); err != nil {
			return end, err
		}
	}
	if o.roots != "" {
		return end, readRoots(c.Roots, o.roots)
	}
	return end, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Print writes the result for people.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "%s to %s over %s: %d phones, %.1f a second for %.1f s\n", r.Mode, r.Server, r.Transport, r.Phones, r.RateDone, r.Seconds)
	fmt.Fprintf(w, "  attempted %d   answered %d   completed %d   failed %d   retransmissions sent %d, received %d\n",
		r.Attempted, r.Answered, r.Completed, r.Failed, r.Resent, r.Duplicates)
	for _, why := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(w, "    %6d  %s\n", r.Failures[why], why)
	}
	for _, l := range []struct {
		name string
		l    Latency
	}{{"TLS handshake", r.Handshake}, {"REGISTER to 200", r.Registering}, {"INVITE to 180", r.Ringing}, {"INVITE to 200", r.Answer}, {"BYE to 200", r.Ending}} {
		if l.l.Count > 0 {
			fmt.Fprintf(w, "  %-16s p50 %8.2f ms   p90 %8.2f ms   p99 %8.2f ms   max %8.2f ms\n", l.name, ms(l.l.P50US), ms(l.l.P90US), ms(l.l.P99US), ms(l.l.MaxUS))
		}
	}
	if m := r.Media; m != nil {
		fmt.Fprintf(w, "  packets sent %d, received %d, authenticated %d, rejected %d, lost %d; on the way p50 %.2f ms, p99 %.2f ms\n",
			m.Sent, m.Received, m.Authenticated, m.Rejected, m.Lost, ms(r.MediaDelay.P50US), ms(r.MediaDelay.P99US))
	}
	fmt.Fprintf(w, "  the generator itself used %.2f s of CPU\n", r.OwnCPU)
}

func ms(us int64) float64 { return float64(us) / 1000 }
