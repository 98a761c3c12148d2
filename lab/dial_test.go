package lab_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/admin"
)

// TestDialExplains: what the running site says would happen is what then happens to real phones, and asking makes no phone ring. The site
// has a night schedule, lines that are reached by their +E.164 numbers, and an emergency number whose trunk does not answer.
func TestDialExplains(t *testing.T) {
	t.Parallel()
	cfg := config.Default("n1")
	cfg.Schedules = []config.Schedule{{Name: "days", Periods: []config.SchedulePeriod{{Days: "mon-fri", Hours: "08:00-17:00"}}}}
	cfg.Partitions = append(cfg.Partitions, config.Partition{Name: "office", Schedule: "days", TimeZone: "Europe/Berlin"})
	cfg.CallingSearchSpaces[0].Partitions = append(cfg.CallingSearchSpaces[0].Partitions, "office")
	for i := range cfg.Lines {
		cfg.Lines[i].AlternateNumbers = []string{"+4930555XXXX"}
	}
	cfg.TranslationPatterns = append(cfg.TranslationPatterns, config.TranslationPattern{Pattern: "77", Partition: "office", Transform: config.Transform{CalledMask: "1002"}})
	cfg.SIPTrunkSecurityProfiles = []config.SIPTrunkSecurityProfile{{Name: "provider", AcceptedSubjects: []string{"provider.example"}}}
	cfg.SIPTrunks = []config.SIPTrunk{{Name: "pstn", SecurityProfile: "provider", DevicePool: "default", SRTPAllowed: true, Destinations: []config.Destination{{Address: "127.0.0.1", Port: 9}}}}
	cfg.RoutePatterns = append(cfg.RoutePatterns, config.RoutePattern{Pattern: "112", Partition: "office", Trunk: "pstn", Emergency: true})
	s := must(lab.Start(within(t, time.Minute), lab.Options{Config: cfg}))(t)
	t.Cleanup(func() { _ = s.Close(within(t, time.Minute)) })
	ctx := within(t, time.Minute)
	alice := must(s.Registered(ctx, "alice", "1001"))(t)
	bob := must(s.Registered(ctx, "bob", "1002"))(t)
	for _, p := range []*phone.Phone{alice, bob} {
		t.Cleanup(func() { _ = p.Close(within(t, time.Minute)) })
	}
	api := admin.NewClient(s.Home())
	ask := func(from, number, at string) (call.Explanation, string) {
		t.Helper()
		q := url.Values{"from": {from}, "number": {number}}
		if at != "" {
			q.Set("at", at)
		}
		var list admin.Rows[bus.DialAnswer]
		if err := api.Do(ctx, http.MethodGet, "/v1/dial?"+q.Encode(), nil, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Rows) != 1 || len(list.Problems) > 0 {
			t.Fatalf("%+v", list)
		}
		var x call.Explanation
		if err := json.Unmarshal(list.Rows[0].Explanation, &x); err != nil {
			t.Fatal(err)
		}
		return x, list.Rows[0].Text
	}
	rings := func(x call.Explanation) string {
		if len(x.Stages) == 0 || len(x.Stages[0].Rings) != 1 {
			return ""
		}
		to := x.Stages[0].Rings[0].Target
		return to.Device + to.Trunk + to.Applet
	}
	for _, c := range []struct{ from, number, at, rings, says string }{
		{"alice", "1002", "", "bob", "encrypted from end to end"},
		{"1001", "+49305551002", "", "bob", `\+49305551002 in internal (directory-number) matches`},
		{"alice", "77", "2026-11-20T16:59:00+01:00", "bob", `called number "77" becomes "1002"`},
		{"alice", "77", "2026-11-20T17:00:00+01:00", "", "closed by schedule days (it is Friday 2026-11-20 17:00 Europe/Berlin); 77 in office would match otherwise"},
		{"bob", "112", "2026-11-22T03:00:00Z", "pstn", "This is an emergency call."},
		{"trunk:pstn", "112", "", "", "no pattern there matches"},
		{"alice", "9196", "", "echo", "phone security profile encrypted is encrypted"},
	} {
		x, text := ask(c.from, c.number, c.at)
		if got := rings(x); got != c.rings || !strings.Contains(text, c.says) {
			t.Errorf("%s dials %s at %s: rings %q, want %q; %q should be in\n%s", c.from, c.number, c.at, got, c.rings, c.says, text)
		}
	}
	if err := api.Do(ctx, http.MethodGet, "/v1/dial?from=carol&number=1001", nil, nil); err == nil || !strings.Contains(err.Error(), "carol is no device") {
		t.Errorf("a caller who is not there: %v", err)
	}
	select {
	case c := <-bob.Incoming():
		t.Fatalf("asking made bob's phone ring: %+v", c)
	default:
	}
	outgoing := must(alice.Dial(ctx, "+49305551002"))(t)
	incoming := <-bob.Incoming()
	if err := incoming.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := outgoing.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
}
