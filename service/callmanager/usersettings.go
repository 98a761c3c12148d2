package callmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
)

// What users set at their phones (forwards, do not disturb, privacy, hunt login) outlives a restart: every change is written to the
// store, and the engine is given it back before the first call.

// keptCollection is where the settings are, under "line/NUMBER/PARTITION" and "device/NAME".
const keptCollection = "user-settings"

// userSettings are the settings as the store has them. Guarded by its lock; the worker keepSettings alone writes.
type userSettings struct {
	docs *store.Documents
	mu   sync.Mutex
	byID map[string]keptSetting
}

type keptSetting struct {
	value    call.Settings
	text     []byte
	revision int64
}

// keptKey is the key of what a LineChanged or DeviceChanged is about.
func keptKey(ev call.Event) string {
	if ev.Device != "" {
		return "device/" + ev.Device
	}
	return "line/" + ev.Line.Number + "/" + ev.Line.Partition
}

// keptEvent is what a key is about; ok is false for a key of another making.
func keptEvent(key string) (ev call.Event, ok bool) {
	what, rest, _ := strings.Cut(key, "/")
	switch what {
	case "device":
		return call.Event{Kind: call.DeviceChanged, Device: rest}, rest != ""
	case "line":
		number, partition, ok := strings.Cut(rest, "/")
		return call.Event{Kind: call.LineChanged, Line: call.LineID{Number: number, Partition: partition}}, ok
	}
	return ev, false
}

// restoreSettings gives the engine what the store has, once, before anybody can call. What belongs to a line or device that is gone is
// removed.
func (s *Service) restoreSettings(ctx context.Context) error {
	k := &s.userSettings
	if k.docs != nil {
		return nil
	}
	docs := s.cfg.Store.Documents(keptCollection)
	list, err := docs.List(ctx, "")
	if err != nil {
		return err
	}
	k.byID = map[string]keptSetting{}
	for _, doc := range list {
		ev, ok := keptEvent(doc.Key)
		var value call.Settings
		if err := json.Unmarshal(doc.Value, &value); err != nil || !ok {
			s.warn(fmt.Sprintf("the settings kept under %s cannot be read and do not count: %v", doc.Key, err))
			continue
		}
		gone, err := s.giveBack(ctx, ev, value)
		switch {
		case err != nil:
			return err
		case gone:
			if err := docs.Delete(ctx, doc.Key, doc.Revision); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnavailable) {
				return err
			}
		default:
			k.set(doc.Key, keptSetting{value: value, text: doc.Value, revision: doc.Revision})
		}
	}
	k.docs = docs
	return nil
}

// takeSettings gives the engine what users have set at other nodes since.
func (s *Service) takeSettings(ctx context.Context) error {
	list, err := s.userSettings.docs.List(ctx, "")
	if err != nil {
		return err
	}
	for _, doc := range list {
		have := s.userSettings.get(doc.Key)
		ev, ok := keptEvent(doc.Key)
		var value call.Settings
		if doc.Revision <= have.revision || !ok || json.Unmarshal(doc.Value, &value) != nil {
			continue
		}
		text, err := json.Marshal(value) // as we would write it: PostgreSQL has its own way with spaces
		if err != nil {
			return err
		}
		s.userSettings.set(doc.Key, keptSetting{value: value, text: text, revision: doc.Revision})
		if bytes.Equal(text, have.text) {
			continue
		}
		if _, err := s.giveBack(ctx, ev, value); err != nil {
			return err
		}
	}
	return nil
}

// giveBack gives the engine the settings of one line or device; gone says that it knows none of that name.
func (s *Service) giveBack(ctx context.Context, ev call.Event, value call.Settings) (gone bool, err error) {
	for _, r := range value.Requests(ev) {
		reply, err := s.host.Request(ctx, "restart", r)
		if err != nil {
			return false, err
		}
		gone = gone || reply.Cause != call.CauseNone
	}
	return gone, nil
}

// keepSettings writes what users change, until the engine has stopped. The first note brings all there is.
func (s *Service) keepSettings() {
	w := s.host.Collect(keptBacklog, call.LineChanged, call.DeviceChanged)
	defer w.Close()
	changes := s.userSettings.docs.Watch(s.ctx)
	for {
		select {
		case <-w.Ready():
			s.keepAll(w.Take())
		case _, open := <-changes:
			if !open {
				changes = nil
				continue
			}
			if err := s.takeSettings(s.ctx); err != nil && s.ctx.Err() == nil {
				s.warn("what users have set at phones of other nodes is not known here yet: " + err.Error())
			}
		case <-w.Done():
			s.keepAll(w.Take()) // what was changed last
			return
		}
	}
}

// keptBacklog bounds the changes that wait for the store; when there are more, all settings are looked at.
const keptBacklog = 1 << 12

func (s *Service) keepAll(notes []live.Note) {
	for _, n := range notes {
		if !n.Snapshot {
			s.keep(n.Event)
			continue
		}
		now := map[string]bool{}
		for _, ev := range n.Settings {
			now[keptKey(ev)] = true
			s.keep(ev)
		}
		for _, key := range s.userSettings.keys() {
			if ev, ok := keptEvent(key); ok && !now[key] {
				ev.Settings = &call.Settings{}
				s.keep(ev)
			}
		}
	}
}

// keepTimeout bounds one write; it goes on while the service stops, or the last change would be lost.
const keepTimeout = 10 * time.Second

// keep writes the settings of one line or device, unless the store has them. A store that is away is asked again while the service runs;
// the engine has the settings all the same.
func (s *Service) keep(ev call.Event) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
		err := s.userSettings.write(ctx, keptKey(ev), *ev.Settings)
		cancel()
		if err == nil {
			s.troubles.set(aboutSettings, "")
			return
		}
		s.problem(aboutSettings, fmt.Sprintf("the settings of %s are in force but could not be kept, a restart would lose them: %v", keptKey(ev), err))
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(configRetry):
		}
	}
}

// write puts settings under a key, over whatever another node has put there: the engine that has the line is right.
func (k *userSettings) write(ctx context.Context, key string, value call.Settings) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if bytes.Equal(text, k.get(key).text) {
		return nil
	}
	revision, err := k.docs.Keep(ctx, key, value)
	if err == nil {
		k.set(key, keptSetting{value: value, text: text, revision: revision})
	}
	return err
}

func (k *userSettings) get(key string) keptSetting {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byID[key]
}

func (k *userSettings) set(key string, x keptSetting) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[key] = x
}

func (k *userSettings) keys() (out []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.byID {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// showLines lists what becomes of the calls of every line.
func (s *Service) showLines(ctx context.Context) ([]bus.LineState, error) {
	settings, err := s.host.Settings(ctx)
	if err != nil {
		return nil, &bus.Error{Code: bus.CodeUnavailable, Message: err.Error()}
	}
	set := make(map[string]call.Settings, len(settings))
	for _, ev := range settings {
		set[keptKey(ev)] = *ev.Settings
	}
	st, rows := s.site.Load(), []bus.LineState{}
	if !s.speaksFor(st, "") {
		return rows, nil // another node does: what users have set is the same everywhere
	}
	for _, l := range st.Lines() {
		rows = append(rows, lineRow(s.cfg.Node, line(st.config, l), l, set))
	}
	return rows, nil
}

// lineRow is the row of a line: what is configured, and over it what users have set.
func lineRow(node string, c call.Line, l *directory.Line, set map[string]call.Settings) bus.LineState {
	row := bus.LineState{Node: node, Line: c.ID.Number, Partition: c.ID.Partition, Display: c.Display, Voicemail: c.Voicemail, Mailbox: c.Mailbox}
	if c.AutoAnswer {
		row.AutoAnswer = l.AutoAnswer.String()
	}
	mine := set[keptKey(call.Event{Line: c.ID})]
	for kind, f := range c.Forwards {
		state := bus.ForwardState{Kind: call.ForwardKind(kind).String(), To: f.To, Voicemail: f.Voicemail, CallingSearchSpace: f.SearchSpace}
		for _, x := range mine.Forwards {
			if x.Kind == call.ForwardKind(kind) {
				state = bus.ForwardState{Kind: state.Kind, To: x.To, Voicemail: x.Voicemail, CallingSearchSpace: x.SearchSpace, SetByUser: true}
			}
		}
		if state.Voicemail {
			state.To = c.Voicemail
		}
		if state.To != "" || state.SetByUser {
			row.Forwards = append(row.Forwards, state)
		}
	}
	for _, a := range l.Appearances {
		device, changed := set[keptKey(call.Event{Device: a.Device.Name})]
		row.Devices = append(row.Devices, a.Device.Name)
		if device.DoNotDisturb {
			row.DoNotDisturb = append(row.DoNotDisturb, a.Device.Name)
		}
		if device.Privacy || !changed && a.Device.Private {
			row.Private = append(row.Private, a.Device.Name)
		}
		if device.HuntOut {
			row.HuntOut = append(row.HuntOut, a.Device.Name)
		}
	}
	return row
}

// setForward makes or ends a forward for an operator.
func (s *Service) setForward(ctx context.Context, r bus.ForwardRequest) (bus.SettingResult, error) {
	var kind call.ForwardKind
	if err := kind.UnmarshalText([]byte(r.Kind)); err != nil {
		return bus.SettingResult{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("%q is no kind of forward; expected all, busy, no-answer or unregistered", r.Kind)}
	}
	id, err := s.lineNamed(r.Number, r.Partition)
	if err != nil {
		return bus.SettingResult{}, err
	}
	return s.setting(ctx, r.Actor, call.SetForward{Line: id, Kind: kind, Forward: call.Forward{To: r.To, Voicemail: r.Voicemail, SearchSpace: r.CallingSearchSpace}})
}

// lineNamed finds a line by its number; the partition is needed where several have the number.
func (s *Service) lineNamed(number, partition string) (call.LineID, error) {
	var found []call.LineID
	for _, l := range s.site.Load().Lines() {
		if id := lineID(l); id.Number == number && (partition == "" || id.Partition == partition) {
			found = append(found, id)
		}
	}
	switch {
	case len(found) == 0:
		return call.LineID{}, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("no line has the number %s", number)}
	case len(found) > 1:
		return call.LineID{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("several lines have the number %s: name the partition", number)}
	}
	return found[0], nil
}

// setDevice turns a setting of a device on or off for an operator.
func (s *Service) setDevice(ctx context.Context, r bus.DeviceSettingRequest) (bus.SettingResult, error) {
	if s.site.Load().device(r.Device) == nil {
		return bus.SettingResult{}, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("no device is called %s", r.Device)}
	}
	switch r.Setting {
	case bus.SettingDoNotDisturb:
		return s.setting(ctx, r.Actor, call.SetDoNotDisturb{Device: r.Device, On: r.On})
	case bus.SettingPrivacy:
		return s.setting(ctx, r.Actor, call.SetPrivacy{Device: r.Device, On: r.On})
	case bus.SettingHuntLogin:
		return s.setting(ctx, r.Actor, call.SetHuntLogin{Device: r.Device, On: r.On})
	}
	return bus.SettingResult{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("%q is no setting; expected %s, %s or %s", r.Setting, bus.SettingDoNotDisturb, bus.SettingPrivacy, bus.SettingHuntLogin)}
}

func (s *Service) setting(ctx context.Context, by string, r call.Request) (bus.SettingResult, error) {
	reply, err := s.host.Request(ctx, by, r)
	switch {
	case err != nil:
		return bus.SettingResult{}, &bus.Error{Code: bus.CodeUnavailable, Message: err.Error()}
	case reply.Cause != call.CauseNone:
		return bus.SettingResult{}, &bus.Error{Code: bus.CodeInvalid, Message: reply.Why}
	}
	return bus.SettingResult{Node: s.cfg.Node}, nil
}
