package resilience

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/phone"
)

// exported are the rows of an export, by column.
func exported(t testing.TB, home string, more ...string) (out []map[string]string) {
	t.Helper()
	code, text, errs := command(t, append([]string{"calls", "export", "--home", home}, more...)...)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if code != 0 || err != nil || len(rows) == 0 {
		t.Fatalf("calls export: %d, %v, %s", code, err, errs)
	}
	for _, r := range rows[1:] {
		row := map[string]string{}
		for i, v := range r {
			row[rows[0][i]] = v
		}
		out = append(out, row)
	}
	return out
}

// TestKilledInACall kills a node with -9 while a call talks, with the trace turned off. After the next start the record has it, once, and so
// it stays when the node is killed again and restarted.
func TestKilledInACall(t *testing.T) {
	t.Parallel()
	dir, addr := home(t), freeAddress(t)
	n := built.Up(t, dir, "--site", siteFile(t, t.TempDir(), addr, 0))
	if code, _, errs := command(t, "trace", "--home", dir, "--service", "callmanager", "--level", "off"); code != 0 {
		t.Fatalf("trace --level off: %s", errs)
	}
	alice, bob := softphone(t, dir, "alice", "1001", addr), softphone(t, dir, "bob", "1002", addr)
	goodCall(t, alice, bob)
	begin := time.Now()
	connect(t, alice, bob)
	time.Sleep(2 * written) // the promise is about time: what is known of the call is on the disk by then
	n.Kill()
	n = built.Up(t, dir)
	up := time.Now()

	lost := func(r map[string]string) bool { return r["cause"] != "41" }
	var calls, legs []map[string]string
	eventually(t, step, func() error {
		calls, legs = slices.DeleteFunc(exported(t, dir), lost), slices.DeleteFunc(exported(t, dir, "--legs"), lost)
		if len(calls) != 1 || len(legs) != 2 {
			return fmt.Errorf("%d calls and %d legs have the cause 41", len(calls), len(legs))
		}
		return nil
	})
	c := calls[0]
	end, err := time.Parse(time.RFC3339, c["end_at"])
	if err != nil || end.Before(begin.Truncate(time.Millisecond)) || end.After(up) || c["answer_at"] == "" || c["calling"] != "1001" || c["called"] != "1002" ||
		c["from_device"] != "alice" || c["to_device"] != "bob" || c["released_by"] != "system" || c["security"] != "encrypted" ||
		!strings.Contains(c["detail"], "the node ended without saying so") {
		t.Errorf("begun %v, up %v: %v, %v", begin, up, c, err)
	}
	if code, out, errs := command(t, "calls", "show", c["call"], "--home", dir); code != 0 || !strings.Contains(out, "alice") || !strings.Contains(out, "bob") {
		t.Errorf("calls show: %d %s%s", code, out, errs)
	}
	n.Kill()
	n = built.Up(t, dir)
	if code := n.Stop(t); code != 0 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	built.Up(t, dir)
	for _, p := range []*phone.Phone{alice, bob} {
		ok(t, p.WaitRegistered(within(t, step)))
	}
	all := exported(t, dir)
	if n := len(slices.DeleteFunc(slices.Clone(all), lost)); n != 1 || len(all) != 2 {
		t.Errorf("after further starts: %d calls, %d of them lost ones, want 2 and 1", len(all), n)
	}
}
