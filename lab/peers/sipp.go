package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A StunnelConfig is one direction of a TLS wrapper with a client or server certificate.
type StunnelConfig struct {
	Client           bool   // true: accepts plain TCP and dials TLS; false: accepts TLS and dials plain TCP
	Accept, Connect  string // ip:port
	Certificate, Key string // paths
	CA               string // path
}

// StartStunnel starts the wrapper in dir and returns when it accepts connections.
func StartStunnel(ctx context.Context, dir string, c StunnelConfig) (*Process, error) {
	conf := fmt.Sprintf("foreground = yes\npid =\ndebug = notice\n[sip]\nclient = %s\naccept = %s\nconnect = %s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\n",
		yes(c.Client), c.Accept, c.Connect, c.Certificate, c.Key, c.CA)
	if !c.Client {
		conf += "requireCert = yes\n"
	}
	path := filepath.Join(dir, "stunnel.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	p, err := run(dir, "stunnel", path)
	if err != nil {
		return nil, err
	}
	if _, err := p.Wait(ctx, 0, "Configuration successful", "accepting"); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// A SIPpRun is one scenario, run once (or Calls times) to its end.
type SIPpRun struct {
	Scenario string            // path of the XML
	Remote   string            // ip:port
	Service  string            // -s
	Local    string            // ip:port it binds
	Calls    int               // -m, 1 unless set
	Keys     map[string]string // -key
	UDP      bool              // TCP (one connection) unless set
	Args     []string
}

// RunSIPp runs a scenario and returns its error, with the end of its message log where it failed.
func RunSIPp(ctx context.Context, dir string, r SIPpRun) error {
	p, err := StartSIPp(dir, r)
	if err != nil {
		return err
	}
	defer p.Stop()
	if err := p.Exit(ctx); err != nil {
		return fmt.Errorf("sipp %s: %w\n%s", filepath.Base(r.Scenario), err, SIPpLog(dir))
	}
	return nil
}

// StartSIPp starts a scenario, for the side that waits to be called.
func StartSIPp(dir string, r SIPpRun) (*Process, error) {
	host, port, err := net.SplitHostPort(r.Local)
	if err != nil {
		return nil, err
	}
	transport := "t1"
	if r.UDP {
		transport = "u1"
	}
	args := []string{"-sf", r.Scenario, "-t", transport, "-i", host, "-m", strconv.Itoa(orInt(r.Calls, 1)), "-nostdin",
		"-trace_msg", "-message_file", filepath.Join(dir, "messages.log"), "-trace_err", "-error_file", filepath.Join(dir, "errors.log")}
	if port != "0" {
		args = append(args, "-p", port)
	}
	if r.Service != "" {
		args = append(args, "-s", r.Service)
	}
	for k, v := range r.Keys {
		args = append(args, "-key", k, v)
	}
	args = append(args, r.Args...)
	if r.Remote != "" { // a scenario that waits for calls needs none
		args = append(args, r.Remote)
	}
	return run(dir, "sipp", args...)
}

// SIPpLog is the end of the message and error logs of a run.
func SIPpLog(dir string) string {
	var b strings.Builder
	for _, name := range []string{"errors.log", "messages.log"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			b.Write(text[max(0, len(text)-3000):])
		}
	}
	return b.String()
}
