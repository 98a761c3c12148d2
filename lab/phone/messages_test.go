package phone_test

import (
	"context"
	"slices"
	"testing"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/mwi"
)

// setMessages says how many messages the line 1003 has, as an application does, and whether that was news.
func setMessages(ctx context.Context, t *testing.T, s *lab.Site, fresh, old uint32, version uint64) bool {
	t.Helper()
	r, err := bus.Ask[bus.MessagesRequest, bus.MessagesResult](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbSetMessages),
		bus.MessagesRequest{Number: "1003", Partition: "internal", New: fresh, Old: old, Source: "test", Version: version})
	must(t, err)
	return r.Applied
}

// heard waits until `show mwi` says that these devices have acknowledged the messages of 1003, and those have not.
func heard(ctx context.Context, t *testing.T, s *lab.Site, yes, no []string) {
	t.Helper()
	var rows []bus.MessageState
	until(ctx, t, "the mailbox of 1003", func() bool {
		var err error
		rows, err = bus.Ask[bus.Query, []bus.MessageState](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbMessages), bus.Query{Name: "1003"})
		must(t, err)
		return len(rows) == 1 && slices.Equal(rows[0].Acknowledged, yes) && slices.Equal(rows[0].Waits, no)
	})
}

// Messages are state: every phone of the line is told what is true, until it has said that it heard.
func TestMessagesAreState(t *testing.T) {
	t.Parallel()
	s := lampSite(t, func(c *config.Site) {
		deviceOf(c, "dave").Lines = append(deviceOf(c, "dave").Lines, config.Appearance{Number: "1003", Partition: "internal"})
	})
	ctx := wait(t)
	carol := at(t, s, "carol", "1003", nil)
	// What is said twice, or late, is no news.
	for i, want := range []bool{true, false, true, false} {
		if got := setMessages(ctx, t, s, []uint32{2, 2, 3, 2}[i], 1, []uint64{5, 5, 6, 4}[i]); got != want {
			t.Errorf("request %d: applied %v", i, got)
		}
	}
	must(t, carol.WaitMessages(ctx, true, 3, 1))
	heard(ctx, t, s, []string{"carol"}, []string{"dave"})
	// Who comes later is told then.
	dave := at(t, s, "dave", "1003", nil)
	must(t, dave.WaitMessages(ctx, true, 3, 1))
	heard(ctx, t, s, []string{"carol", "dave"}, nil)
	// A phone that has heard is not told again when it refreshes; on a new connection it is.
	_, before := carol.Messages()
	n := carol.Registrations()
	carol.Reregister()
	must(t, carol.WaitRegistrations(ctx, n+1))
	setMessages(ctx, t, s, 0, 4, 7)
	must(t, carol.WaitMessages(ctx, false, 0, 4))
	if _, now := carol.Messages(); now != before+1 {
		t.Errorf("carol was told %d times, want once", now-before)
	}
	carol.Cut()
	must(t, carol.WaitRegistrations(ctx, n+2))
	until(ctx, t, "carol to be told on her new connection", func() bool { _, now := carol.Messages(); return now == before+2 })
	// A phone that refuses is told again when it refreshes.
	dave.RefuseMessages(480)
	setMessages(ctx, t, s, 1, 4, 8)
	heard(ctx, t, s, []string{"carol"}, []string{"dave (480)"})
	dave.RefuseMessages(0)
	n = dave.Registrations()
	dave.Reregister()
	must(t, dave.WaitRegistrations(ctx, n+1))
	must(t, dave.WaitMessages(ctx, true, 1, 4))
	heard(ctx, t, s, []string{"carol", "dave"}, nil)
	// By subscription it is told that way alone.
	w := watching(ctx, t, dave, "message-summary", "1003")
	setMessages(ctx, t, s, 0, 0, 9)
	must(t, w.WaitNotifies(ctx, 2))
	must(t, dave.WaitMessages(ctx, false, 0, 0))
	heard(ctx, t, s, []string{"carol", "dave"}, nil)
	_, before = dave.Messages()
	setMessages(ctx, t, s, 1, 0, 10)
	must(t, dave.WaitMessages(ctx, true, 1, 0))
	heard(ctx, t, s, []string{"carol", "dave"}, nil)
	if _, now := dave.Messages(); now != before+1 {
		t.Errorf("dave was told %d times, want once", now-before)
	}
	// Who knows only that messages wait says no number; faxes are counted by themselves.
	for _, r := range []struct {
		request bus.MessagesRequest
		want    []mwi.Count
	}{
		{bus.MessagesRequest{Waiting: true, Version: 11}, nil},
		{bus.MessagesRequest{FaxNew: 2, FaxOld: 3, FaxUrgentNew: 1, Waiting: true, Version: 12}, []mwi.Count{{Class: mwi.Fax, New: 2, Old: 3, Urgent: true, UrgentNew: 1}}},
	} {
		r.request.Number, r.request.Partition, r.request.Source = "1003", "internal", "test"
		_, err := bus.Ask[bus.MessagesRequest, bus.MessagesResult](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbSetMessages), r.request)
		must(t, err)
		until(ctx, t, "carol to hear of it", func() bool {
			last, _ := carol.Messages()
			return last.Waiting && slices.Equal(last.Counts, r.want)
		})
	}
	// A line without a lamp is told that there is nothing.
	apply(ctx, t, s, func(c *config.Site) {
		for i := range c.Lines {
			if c.Lines[i].Number == "1003" {
				c.Lines[i].MessageLamp = config.MessageLampNone
			}
		}
	})
	must(t, dave.WaitMessages(ctx, false, 0, 0))
	must(t, carol.WaitMessages(ctx, false, 0, 0))
}
