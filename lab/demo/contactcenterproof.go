package demo

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/trace/pcapng"
)

// siteLaboratory has every element's connections written down.
func siteLaboratory(n element.Network, capture *pcapng.Writer) site.Laboratory {
	return site.Laboratory{Network: n, KeyLog: pki.KeyLogWriter(capture.KeyLog())}
}

// Said is what a command said at a moment.
type Said struct {
	When    string `json:"when"`
	Command string `json:"command"`
	Text    string `json:"text"`
}

// A Question is one of the document's, answered with what was measured.
type Question struct {
	Asked    string `json:"asked"`
	Measured string `json:"measured"`
	Proven   bool   `json:"proven"`
}

// question is a step whose answer goes into the table of questions.
func (s *ccScenario) question(asked string, do func(context.Context) (string, error)) bool {
	ok := s.stepIn(longStep, asked, do)
	last := len(s.report.Steps) - 1
	s.report.Questions = append(s.report.Questions, Question{Asked: asked, Measured: s.report.Steps[last].Detail, Proven: ok})
	s.report.Steps = s.report.Steps[:last]
	return ok
}

// connections are those of a service, over the bus, as `show connections` and `show sip-ua connections` have them.
func (s *ccScenario) connections(ctx context.Context, service string) ([]bus.Connection, error) {
	return bus.Ask[bus.Query, []bus.Connection](ctx, s.site.Bus, s.site.Bus.Subject(service, bus.VerbConnections), bus.Query{})
}

// withCallServer are the border's TLS connections with the call server.
func (s *ccScenario) withCallServer(ctx context.Context) (out []bus.Connection, others int, err error) {
	rows, err := s.connections(ctx, config.ServiceBorder.String())
	for _, c := range rows {
		remote, _ := netip.ParseAddrPort(c.Remote)
		switch {
		case c.State != "established" || c.Transport != "tls":
		case remote.Addr() == s.callServer():
			out = append(out, c)
		default:
			others++
		}
	}
	return out, others, err
}

// note adds what a command says at a moment to the report.
func (s *ccScenario) note(ctx context.Context, when string, words ...string) error {
	if s.show == nil {
		return nil
	}
	said, err := s.show(ctx, s.site.Home(), words...)
	s.report.Said = append(s.report.Said, Said{When: when, Command: "locktone " + strings.Join(words, " "), Text: said})
	return err
}

// sipUA is the field's command.
var sipUA = []string{"show", "sip-ua", "connections", "tcp", "tls", "detail"}

func (s *ccScenario) notYet(ctx context.Context) (string, error) {
	if err := s.note(ctx, "before the call", sipUA...); err != nil {
		return "", err
	}
	with, others, err := s.withCallServer(ctx)
	if err != nil {
		return "", err
	}
	if len(with) > 0 {
		return "", fmt.Errorf("there are %d", len(with))
	}
	return fmt.Sprintf("yes: none with %s; %d of others (the call manager's OPTIONS)", s.callServer(), others), nil
}

func (s *ccScenario) shown(ctx context.Context) (string, error) {
	if err := s.note(ctx, "during the call", sipUA...); err != nil {
		return "", err
	}
	with, _, err := s.withCallServer(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range with {
		if c.Verified && strings.Contains(c.Subject, "callserver") {
			return fmt.Sprintf("yes: %s -> %s, %s %s, verified %s", c.Local, c.Remote, c.TLSVersion, c.Cipher, c.Subject), nil
		}
	}
	return "", fmt.Errorf("there is none with a verified certificate among %d", len(with))
}

// captured reads the capture as the document's filters do: ip.addr == X && tls && tcp.port == 5061, for the connections of the call server.
func (s *ccScenario) captured(who string, of func() netip.Addr) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		at, server := of(), s.callServer()
		b, err := os.ReadFile(s.file)
		if err != nil {
			return "", err
		}
		records, clear := 0, 0
		for x, err := range pcapng.Segments(bytes.NewReader(b)) {
			if err != nil {
				return "", err
			}
			pair := []netip.Addr{x.From.Addr(), x.To.Addr()}
			if x.From.Port() != 5061 && x.To.Port() != 5061 || !slices.Contains(pair, at) || !slices.Contains(pair, server) && !slices.ContainsFunc(pair, isDialled(server)) {
				continue
			}
			switch {
			case x.TLS():
				records++
			case bytes.Contains(x.Data, []byte("SIP/2.0")):
				clear++
			}
		}
		filter := fmt.Sprintf("ip.addr == %s && tls && tcp.port==5061", at)
		if records == 0 || clear > 0 {
			return "", fmt.Errorf("no: %s: %d frames, %d with SIP in clear", filter, records, clear)
		}
		with, err := s.with(at)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("yes: %s: %d frames, none in clear; %s", filter, records, with), nil
	}
}

// isDialled finds the call server where it has dialled: the addresses of the kernel's choice are in its network.
func isDialled(netip.Addr) func(netip.Addr) bool {
	return func(a netip.Addr) bool { return a.IsLoopback() }
}

// with is what the call server says of its connection with a peer.
func (s *ccScenario) with(at netip.Addr) (string, error) {
	rows, err := s.connections(s.ctx, config.ServiceCallServer.String())
	if err != nil {
		return "", err
	}
	for _, c := range rows {
		remote, _ := netip.ParseAddrPort(c.Remote)
		if remote.Addr() == at && c.State == "established" && c.Verified {
			return fmt.Sprintf("%s, verified %s", c.TLSVersion, c.Subject), nil
		}
	}
	return "", fmt.Errorf("the call server has no verified TLS connection with %s", at)
}

// collect makes the table of the two ends of the call.
func (s *ccScenario) collect(ctx context.Context) (string, error) {
	subject := func(service, peer string) string {
		rows, err := s.connections(ctx, service)
		if err != nil {
			return ""
		}
		for _, c := range rows {
			if c.Verified && c.Direction == "inbound" && (c.Peer == peer || strings.Contains(c.Subject, peer)) {
				return c.Subject
			}
		}
		return ""
	}
	a, b := s.calling.Evidence(), s.called.Evidence()
	s.report.Legs = []Leg{
		leg("caller", "border", a, b, aliceTone, subject(config.ServiceBorder.String(), "caller")),
		leg(callmanager.Name, "agent", b, a, ccTone, subject(callmanager.Name, ccDesk)),
	}
	s.report.Legs[1].Listed = true // a desk phone verifies by its trust list: the certificate stands for itself
	s.report.Capture = s.file
	return "the capture is " + s.file + ", with the session secrets in it", s.capture.Err()
}

// globalID is the name that the whole call has at every element.
func (s *ccScenario) globalID() string {
	calls := s.site.Trace.Calls(16)
	for _, c := range calls {
		if strings.Contains(c.To, ccContact) {
			return c.Call
		}
	}
	if len(calls) > 0 {
		return calls[0].Call
	}
	return ""
}

// ladderOf draws a call over all elements.
func (s *ccScenario) ladderOf(id string) {
	if id == "" {
		return
	}
	recs, err := s.site.Trace.Call(s.ctx, id)
	if err == nil {
		s.report.Ladder = drawLadder(recs)
	}
}
