package callmanager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// notice is what a NOTIFY without a subscription says.
type notice struct {
	event, contentType string
	body               []byte
}

// notify sends a phone a NOTIFY.
func (s *Service) notify(b binding, n notice) { _ = s.notifyTag(b, n, nil) }

// notifyTag sends it with a tag for its answer. What could not be sent is in the trace.
func (s *Service) notifyTag(b binding, n notice, tag any) error {
	req := sip.NewRequest(sip.NOTIFY, b.contact.URI)
	own := sip.URI{Scheme: "sip", User: sip.EscapeUser(b.aor), Host: s.site.Load().Cluster().Domain}
	req.SetFrom(sip.Address{URI: own, Params: sip.Params{{Name: "tag", Value: s.token()}}})
	req.SetTo(sip.Address{URI: own})
	req.SetCallID(s.token() + "@" + s.cfg.Node)
	req.SetCSeq(sip.CSeq{Seq: 1, Method: sip.NOTIFY})
	req.SetMaxForwards(70)
	req.Set("Event", n.event)
	req.Set("Subscription-State", "active")
	req.SetContact(sip.Address{URI: s.contact(b.flow)})
	if len(n.body) > 0 {
		req.SetBody(n.contentType, n.body)
	}
	if _, err := s.ep.RequestTag(req, endpoint.Target{Flow: b.flow}, tag); err != nil {
		s.note(b.device, "NOTIFY could not be sent: "+err.Error())
		return err
	}
	return nil
}

// tell lets a phone know that it should look at its configuration again (apply), register again (restart) or start over
// (reset), in the words it knows: the desk phones of one maker take the event service-control, everybody else check-sync.
func (s *Service) tell(b binding, action bus.Action) {
	n := notice{event: "check-sync;reboot=" + strconv.FormatBool(action == bus.ActionReset)}
	if strings.HasPrefix(b.agent, "Cisco") {
		word := map[bus.Action]string{bus.ActionApply: "apply-config", bus.ActionRestart: "restart", bus.ActionReset: "reset"}[action]
		n = notice{"service-control", "text/plain", []byte(fmt.Sprintf("action=%s\r\nRegisterCallId={%s}\r\nConfigVersionStamp={%d}\r\n", word, b.callID, s.site.Load().Revision()))}
	}
	_ = s.notifyTag(b, n, tidings{b.device})
}

// moved lists the registrations of phones that must come another way under the next configuration than under the present one:
// their security mode or transport changed, by their profile or with the cluster's.
func moved(all []binding, now, next *site) (out []binding) {
	way := func(st *site, name string) (w [3]any) {
		if d := st.device(name); d != nil {
			w = [3]any{d.Security.DeviceSecurityMode, d.Security.Transport, d.Security.IncomingPort}
		}
		return w
	}
	for _, b := range all {
		if now != nil && next.device(b.device) != nil && way(now, b.device) != way(next, b.device) {
			out = append(out, b)
		}
	}
	return out
}

// relayed is what a trunk's NOTIFY tells a phone.
func relayed(m *sip.Message) notice {
	return notice{m.Header("Event"), m.ContentType(), m.Body()}
}

// showing lists the registrations that a message for a number is for: one of each phone that shows it.
func (s *Service) showing(devices []*directory.Device, number string) (out []binding) {
	for _, d := range devices {
		if b, ok := s.bindings.reach(s.now(), d.Name, number); ok {
			out = append(out, b)
		}
	}
	return out
}

// news is what phones have still to be told: that there is something to fetch. Who is away, or was being told while it changed
// its connection, is told when it is back. Guarded by its lock.
type news struct {
	mu      sync.Mutex
	pending map[string]bool
	stop    context.CancelFunc // of the round under way
}

// tidings is the tag of a NOTIFY that tells a device of news.
type tidings struct{ device string }

// begin makes the devices those that have to be told, and ends a round that is not through: what this one tells is newer.
func (n *news) begin(devices map[string]bool, stop context.CancelFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stop != nil {
		n.stop()
	}
	n.pending, n.stop = devices, stop
}

// arrived notes that a device has heard.
func (n *news) arrived(device string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pending, device)
}

func (n *news) awaits(device string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pending[device]
}

// tellPace is the time between two phones that are told the same: ten thousand of them fetch files for a minute or two, and do
// not come all at once.
const tellPace = 10 * time.Millisecond

// TellAll lets every registered phone know, one after the other, that there are new trust lists or configuration to fetch.
func (s *Service) TellAll() {
	ctx, cancel := context.WithCancel(s.ctx)
	all, devices := s.bindings.all(), s.site.Load().Devices()
	pending := make(map[string]bool, len(devices)) // also who is just away: it is told when it is back
	for _, d := range devices {
		if !d.Protocol.Terminal() {
			pending[d.Name] = true
		}
	}
	s.news.begin(pending, cancel)
	s.run(func() {
		defer cancel()
		pace := time.NewTicker(tellPace)
		defer pace.Stop()
		told := make(map[string]bool, len(all))
		for _, b := range all {
			if told[b.device] || !s.news.awaits(b.device) {
				continue
			}
			told[b.device] = true
			s.tell(b, bus.ActionApply)
			select {
			case <-pace.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// back tells a device that has registered what it missed.
func (s *Service) back(device string) {
	if !s.news.awaits(device) {
		return
	}
	if b, ok := s.bindings.reach(s.now(), device, device); ok {
		s.tell(b, bus.ActionApply)
	}
}

// Rehandshake closes the TLS connections of a device that has no call, so that it comes back with a new handshake; it returns how
// many it closed.
func (s *Service) Rehandshake(device, why string) (closed int) {
	views, err := s.host.Calls(s.ctx)
	if err != nil {
		return 0 // the engine has stopped
	}
	for _, v := range views {
		for _, p := range v.Parties {
			if slices.ContainsFunc(p.Legs, func(l call.LegView) bool { return l.Device == device }) {
				return 0
			}
		}
	}
	return s.el.CloseConnections(device, errors.New(why))
}
