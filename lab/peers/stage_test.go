package peers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
)

// A stage is one site on which the features of the call manager are played, each scene with phones of its own. A real softphone
// uses the feature; phones of the lab, which follow every new key, are the other parties and say what is heard. (Debian's
// baresip decrypts with the first keys of a call only; see pair.hold.)
type stage struct {
	*testSite
	localhost string // for linphonec: see phoneSite
	cast      []string
	chime     string // path of the music of a line that has its own
}

// A scene is one feature. Its cast are devices with one line each; setup, where not nil, alters the configuration.
type scene struct {
	name  string
	cast  string // device names, separated by spaces; numbers are given in order from 2001 on
	needs []Program
	setup func(*stage, *config.Site)
	play  func(*testing.T, context.Context, *stage)
	slow  bool // with LOCKTONE_ALL=1 alone
}

// enact plays scenes at once on one site.
func enact(t *testing.T, scenes []scene) {
	t.Helper()
	Need(t, baresip, linphonec, sox)
	t.Parallel()
	ports, err := freePorts(1)
	must(t, err)
	st := &stage{localhost: net.JoinHostPort("localhost", strconv.Itoa(ports[0]))}
	st.chime = makeTone(t, chimeTone, 3)
	all := os.Getenv("LOCKTONE_ALL") == "1"
	st.testSite = startSite(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "localhost", IncomingPort: ports[0]})
		for _, sc := range scenes {
			for _, name := range strings.Fields(sc.cast) {
				st.cast = append(st.cast, name)
				addPhone(c, name, st.number(name), "localhost")
			}
			if sc.setup != nil {
				sc.setup(st, c)
			}
		}
	}, lab.Options{Tune: func(c *callmanager.Config) { c.Optional = append(c.Optional, netip.AddrFrom4([4]byte{127, 0, 0, 1})) }})
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			Need(t, sc.needs...)
			if sc.slow && !all {
				t.Skip("LOCKTONE_ALL=1 runs it too")
			}
			t.Parallel()
			sc.play(t, within(t, 60*time.Second), st)
		})
	}
}

// number is the number of a device of the cast.
func (st *stage) number(name string) string { return fmt.Sprint(2001 + slices.Index(st.cast, name)) }

// line is the configuration of a device's line.
func (st *stage) line(c *config.Site, name string) *config.Line {
	i := slices.IndexFunc(c.Lines, func(l config.Line) bool { return l.Number == st.number(name) })
	return &c.Lines[i]
}

// device is the configuration of a device.
func (st *stage) device(c *config.Site, name string) *config.Device {
	i := slices.IndexFunc(c.Devices, func(d config.Device) bool { return d.Name == name })
	return &c.Devices[i]
}

// phone starts a phone of the lab. It comes to the port that linphonec uses, as its profile says.
func (st *stage) phone(t *testing.T, ctx context.Context, name string, change func(*phone.Config)) *phone.Phone {
	t.Helper()
	_, port, _ := net.SplitHostPort(st.localhost)
	p, err := st.Phone(ctx, name, st.number(name), func(c *phone.Config) {
		c.Server = net.JoinHostPort(st.CallManager().String(), port)
		if change != nil {
			change(c)
		}
	})
	must(t, err)
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = p.Close(end)
	})
	must(t, p.WaitRegistered(ctx))
	return p
}

// phones starts several.
func (st *stage) phones(t *testing.T, ctx context.Context, names ...string) (out []*phone.Phone) {
	t.Helper()
	for _, name := range names {
		out = append(out, st.phone(t, ctx, name, nil))
	}
	return out
}

// soft starts a baresip that speaks a tone.
func (st *stage) soft(t *testing.T, ctx context.Context, name string, hz int, auto bool) *Baresip {
	t.Helper()
	_, port, _ := net.SplitHostPort(st.localhost)
	return st.baresipAt(t, ctx, name, net.JoinHostPort(st.CallManager().String(), port), makeTone(t, hz, 60), auto)
}

// lin starts a linphonec.
func (st *stage) lin(t *testing.T, ctx context.Context, name string, hz int) *Linphone {
	t.Helper()
	return st.linphone(t, ctx, name, st.localhost, makeTone(t, hz, 60), false)
}

// share puts a line on a further device, in the place of its own.
func (st *stage) share(c *config.Site, line, device string) {
	st.device(c, device).Lines[0].Number = st.number(line)
}

// rings is the call that comes in at a phone of the lab.
func rings(t *testing.T, ctx context.Context, p *phone.Phone) *phone.Call {
	t.Helper()
	select {
	case c := <-p.Incoming():
		return c
	case <-ctx.Done():
		t.Fatalf("%s (%s) does not ring: %v", p.Name(), p.Number(), context.Cause(ctx))
		return nil
	}
}

// takes answers the call that comes in, and speaks a tone.
func takes(t *testing.T, ctx context.Context, p *phone.Phone, hz float64) *phone.Call {
	t.Helper()
	c := rings(t, ctx, p)
	must(t, c.Answer(ctx))
	c.Tone(hz)
	return c
}

// calls dials and waits until the call is up, speaking a tone.
func calls(t *testing.T, ctx context.Context, p *phone.Phone, number string, hz float64) *phone.Call {
	t.Helper()
	c, err := p.Dial(ctx, number)
	must(t, err)
	if err := c.WaitAnswered(ctx); err != nil {
		t.Fatalf("%s calls %s: %v", p.Name(), number, err)
	}
	c.Tone(hz)
	return c
}

// hears waits until a phone of the lab hears tones, and none of others.
func hears(t *testing.T, ctx context.Context, c *phone.Call, tones []float64, not ...float64) {
	t.Helper()
	must(t, c.WaitMix(ctx, tones, not...))
}

// over waits for the end of a call of the lab.
func over(t *testing.T, ctx context.Context, c *phone.Call, want int) {
	t.Helper()
	status, _, err := c.WaitEnded(ctx)
	if err != nil || status != want {
		t.Fatalf("the call ended with %d, want %d: %v; %s %s", status, want, err, c.Reason(), c.Warning())
	}
}

// uri is an address that linphonec dials.
func (st *stage) uri(number string) string { return "sip:" + number + "@locktone.test" }
