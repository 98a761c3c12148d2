package callmanager

import (
	"slices"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/dialoginfo"
	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/pidf"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// document is what a subscription tells. It is a value: a change makes another one.
type document interface {
	// write appends the document as it is told in the n-th NOTIFY of a subscription, from 0. told are the dialogs the one before named.
	write(b []byte, n uint32, told []string) []byte
	// names are the dialogs it tells of.
	names() []string
}

// eventPackage is one kind of state that can be subscribed to.
type eventPackage struct {
	name  string
	types []string // of its documents, the usual one first
}

// packages are the event packages there are. RFC 6665, 4.4.
func packages() []eventPackage {
	return []eventPackage{
		{dialoginfo.Event, []string{dialoginfo.ContentType}},
		{mwi.Event, []string{mwi.ContentType}},
		{pidf.Event, []string{pidf.ContentType, pidf.ContentTypeCPIM}},
	}
}

// allowEvents is the Allow-Events header field.
const allowEvents = dialoginfo.Event + ", " + mwi.Event + ", " + pidf.Event + ", refer"

// dialogs is a dialog-info document.
type dialogs struct{ dialoginfo.Document }

func (d dialogs) write(b []byte, n uint32, told []string) []byte {
	out := d.Document
	out.Version = n
	for _, id := range told { // RFC 4235, 3.7.1: the end of a dialog is told once
		if !slices.ContainsFunc(out.Dialogs, func(x dialoginfo.Dialog) bool { return x.ID == id }) {
			out.Dialogs = append(slices.Clip(out.Dialogs), dialoginfo.Dialog{ID: id, State: dialoginfo.Terminated})
		}
	}
	return out.Append(b)
}

func (d dialogs) names() (out []string) {
	for _, x := range d.Dialogs {
		out = append(out, x.ID)
	}
	return out
}

// presence is a presence document.
type presence struct{ pidf.Presence }

func (p presence) write(b []byte, _ uint32, _ []string) []byte { return p.Append(b) }
func (p presence) names() []string                             { return nil }

// summary is a message summary.
type summary struct{ mwi.Summary }

func (s summary) write(b []byte, _ uint32, _ []string) []byte { return s.Append(b) }
func (s summary) names() []string                             { return nil }

// describe is what a subscription should be told now.
func (s *Service) describe(w *subscription) document {
	st := s.site.Load()
	switch w.pkg.name {
	case mwi.Event:
		return summary{s.mailboxes.summary(st, w.at.line)}
	case pidf.Event:
		return s.presenceOf(st, w.at)
	}
	return s.dialogsOf(st, w)
}

// addressOf is the address of a number of ours.
func (st *site) addressOf(number string) string {
	return sip.URI{Scheme: "sip", User: sip.EscapeUser(number), Host: st.Cluster().Domain}.String()
}

// dialogsOf tells a device what goes on at a place. Who shares the line, or has a busy lamp with pickup on it, also learns whom the
// line talks to and by which dialog the call can be taken; the others learn that there is a call.
func (s *Service) dialogsOf(st *site, w *subscription) dialogs {
	own := st.addressOf(w.at.number())
	out := dialogs{dialoginfo.Document{Entity: own}}
	insight := st.insight(w.device, w.at)
	for _, l := range s.lamps.lit(w.at) {
		d := dialoginfo.Dialog{ID: l.id, State: l.state, Direction: l.direction, Local: dialoginfo.Party{Identity: own, Target: own}}
		if l.held {
			d.Local.Hold()
		}
		if insight && (l.device == w.device || !s.private(st, l.device)) {
			if name, ok := s.dialogOf(l); ok {
				d.CallID, d.LocalTag, d.RemoteTag = name.CallID, name.Local, name.Remote
			}
			d.Remote = st.remote(l)
		}
		out.Dialogs = append(out.Dialogs, d)
	}
	return out
}

// dialogOf names the dialog by which a call can be taken.
func (s *Service) dialogOf(l lamp) (name dialog.ID, ok bool) {
	if l.node != "" {
		return l.dialog, l.dialog.CallID != ""
	}
	return s.sip.Dialog(l.leg)
}

// insight says whether a device learns more of a place than that there is a call.
func (st *site) insight(device string, at spot) bool {
	d := st.device(device)
	if d == nil {
		return false
	}
	if at.slot == "" && shows(d, at.line) {
		return true
	}
	return slices.ContainsFunc(d.Buttons, func(b config.Button) bool {
		return b.Type == config.BusyLamp && b.Pickup && b.Number == at.number()
	})
}

// private says whether the user of a device hides its calls from those who share its lines.
func (s *Service) private(st *site, device string) bool {
	if set, changed := s.lamps.setting(device); changed {
		return set.Privacy
	}
	return st.private[device]
}

// remote is whom a line talks to, as far as the cluster lets watchers see that.
func (st *site) remote(l lamp) dialoginfo.Party {
	show := st.Cluster().LampIdentities
	if l.remote.Number == "" || l.remote.Restricted || show == config.LampIdentitiesNone || l.external && show == config.LampIdentitiesInternal {
		return dialoginfo.Party{}
	}
	return dialoginfo.Party{Display: l.remote.Display, Identity: st.addressOf(l.remote.Number)}
}

// presenceOf is what a line does in the words of presence: that is all some desk phones know.
func (s *Service) presenceOf(st *site, at spot) presence {
	p := presence{pidf.Presence{Entity: st.addressOf(at.number()), Tuple: at.number(), Open: at.slot != ""}}
	calm := 0
	line := st.byLine[at.line]
	if line != nil {
		for _, a := range line.Appearances {
			if _, there := s.bindings.reach(s.now(), a.Device.Name, at.line.Number); there || s.registeredAt(a.Device.Name) != "" {
				p.Open = true
			}
			if set, _ := s.lamps.setting(a.Device.Name); set.DoNotDisturb {
				calm++
			}
		}
	}
	var ringing, busy bool
	for _, l := range s.lamps.lit(at) {
		if l.direction == dialoginfo.Recipient && l.state != dialoginfo.Confirmed {
			ringing = true
		} else {
			busy = true
		}
	}
	if ringing {
		p.Activities = append(p.Activities, pidf.Alerting)
	}
	if busy {
		p.Activities = append(p.Activities, pidf.OnThePhone)
	}
	if calm > 0 && calm == len(line.Appearances) {
		p.Activities = append(p.Activities, pidf.DoNotDisturb)
	}
	return p
}
