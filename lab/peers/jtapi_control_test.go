package peers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
)

// withControl runs the CTI manager in the clear as well and makes an application that controls alice and bob, but neither carol nor dave.
func withControl(c *config.Site) {
	for i, name := range []string{"carol", "dave"} {
		number := fmt.Sprint(1003 + i)
		c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal", PickupGroup: "everybody"})
		c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	}
	withCAPF(c, config.NodeService{LegacyRSA: true})
	c.Nodes[0].Services = append(c.Nodes[0].Services, config.NodeService{Service: config.ServiceCTIManager, Clear: true})
	c.Users = append(c.Users, config.User{Name: jtapiUser, Application: true, Password: config.NewVerifier("correct_horse_battery"), Devices: []string{"alice", "bob"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTICallPark}})
}

// A controlled is Cisco's client with a provider open in the clear, and phones of the lab that answer what asks to be answered.
type controlled struct {
	*jtapi
	t      *testing.T
	ctx    context.Context
	phones map[string]*phone.Phone
	calls  map[string]chan *phone.Call
	mark   int
}

func startControlled(t *testing.T, version string) *controlled {
	t.Helper()
	needJTAPI(t, version)
	ctx := within(t, 4*time.Minute)
	s := startSite(t, withControl, lab.Options{})
	x := &controlled{t: t, ctx: ctx, phones: map[string]*phone.Phone{}, calls: map[string]chan *phone.Call{}}
	for number, name := range map[string]string{"1001": "alice", "1002": "bob", "1003": "carol", "1004": "dave"} {
		p, err := s.Phone(ctx, name, number, func(c *phone.Config) { c.Intercom = true })
		must(t, err)
		t.Cleanup(func() {
			end, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer stop()
			_ = p.Close(end)
		})
		must(t, p.WaitRegistered(ctx))
		x.phones[name], x.calls[name] = p, make(chan *phone.Call, 64)
		go func() {
			for {
				select {
				case c := <-p.Incoming():
					x.calls[name] <- c
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	x.jtapi = startJTAPI(t, ctx, s, version)
	if said := x.must(t, ctx, fmt.Sprintf("open %s;login=%s;passwd=correct_horse_battery", s.CallManager(), jtapiUser)); said != "state=in-service" {
		t.Fatalf("%s\n%s", said, x.Tail(80))
	}
	x.do("observe alice bob")
	return x
}

// do has the application do something, which must succeed.
func (x *controlled) do(line string) string {
	x.t.Helper()
	x.mark = x.Mark()
	return x.must(x.t, x.ctx, line)
}

// dial has a phone call a number.
func (x *controlled) dial(name, number string) *phone.Call {
	x.t.Helper()
	x.mark = x.Mark()
	c, err := x.phones[name].Dial(x.ctx, number)
	must(x.t, err)
	return c
}

// answer has a phone answer the next call that it is offered.
func (x *controlled) answer(name string) *phone.Call {
	x.t.Helper()
	x.mark = x.Mark()
	for {
		select {
		case c := <-x.calls[name]:
			if c.State() == phone.Ended {
				continue // of before
			}
			must(x.t, c.Answer(x.ctx))
			return c
		case <-x.ctx.Done():
			x.t.Fatalf("%s is not called", name)
		}
	}
}

// hears waits for events that must come in this order since what was done last; others may stand between them.
func (x *controlled) hears(want ...string) {
	x.t.Helper()
	at := x.mark
	for _, w := range want {
		words := strings.Fields(w)
		for {
			ctx, cancel := context.WithTimeout(x.ctx, 20*time.Second)
			said, err := x.Wait(ctx, at, "event "+words[0])
			cancel()
			if err != nil {
				x.t.Fatalf("no %q; heard since:\n%s", w, strings.Join(x.eventsSince(x.mark), "\n"))
			}
			out := x.Output()
			at += slices.Index(out[at:], said) + 1
			if !slices.ContainsFunc(words[1:], func(word string) bool { return !strings.Contains(said+" ", " "+word+" ") }) {
				break
			}
		}
	}
}

// none says that no call is left, at the application.
func (x *controlled) none() {
	x.t.Helper()
	for {
		if x.do("state") == "" {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond): // calls that end have no event of their own
		case <-x.ctx.Done():
			x.t.Fatalf("calls are left: %s", x.do("state"))
		}
	}
}

// TestJTAPIControl: every call operation of Cisco's client, with phones of the lab at the ends.
func TestJTAPIControl(t *testing.T) {
	x := startControlled(t, "15")
	t.Run("answer", func(t *testing.T) {
		x.t = t
		defer x.report()
		c := x.dial("carol", "1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("answer alice")
		x.hears("TermConnActiveEv terminal=alice", "CallCtlTermConnTalkingEv terminal=alice")
		must(t, c.WaitAnswered(x.ctx))
		x.do("hold alice")
		x.hears("CallCtlTermConnHeldEv terminal=alice")
		x.do("unhold alice")
		x.hears("CallCtlTermConnTalkingEv terminal=alice")
		x.do("dtmf alice 1#")
		must(t, c.WaitDigits(x.ctx, "1#"))
		x.do("drop alice")
		x.none()
	})
	t.Run("make", func(t *testing.T) {
		x.t = t
		defer x.report()
		x.do("call alice 1001 1003")
		x.answer("carol")
		x.hears("CallCtlConnEstablishedEv line=1003")
		x.do("drop alice")
		x.none()
	})
	t.Run("reject", func(t *testing.T) {
		x.t = t
		defer x.report()
		x.dial("carol", "1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("drop alice")
		x.none()
	})
	t.Run("redirect", func(t *testing.T) {
		x.t = t
		defer x.report()
		c := x.dial("carol", "1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("redirect alice 1002")
		x.hears("TermConnRingingEv terminal=bob")
		x.do("answer bob")
		x.hears("CallCtlTermConnTalkingEv terminal=bob")
		x.do("redirect bob 1004")
		x.answer("dave")
		must(t, c.WaitAnswered(x.ctx))
		must(t, c.Hangup(x.ctx))
		x.none()
	})
	t.Run("blind", func(t *testing.T) {
		x.t = t
		defer x.report()
		c := x.dial("carol", "1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("answer alice")
		x.hears("CallCtlTermConnTalkingEv terminal=alice")
		x.do("blind alice 1002")
		x.hears("TermConnRingingEv terminal=bob")
		x.do("answer bob")
		must(t, c.Hangup(x.ctx))
		x.none()
	})
	t.Run("transfer", func(t *testing.T) {
		x.t = t
		defer x.report()
		c := x.dial("carol", "1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("answer alice")
		x.hears("CallCtlTermConnTalkingEv terminal=alice")
		x.do("consult alice 1004 transfer")
		x.answer("dave")
		x.hears("CallCtlConnEstablishedEv line=1004")
		x.do("transfer alice")
		x.hears("CiscoTransferStartEv", "CiscoTransferEndEv")
		must(t, c.Hangup(x.ctx))
		x.none()
	})
	t.Run("transfer observed", func(t *testing.T) {
		x.t = t
		defer x.report()
		x.do("call bob 1002 1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("answer alice")
		x.hears("CallCtlTermConnTalkingEv terminal=alice")
		x.do("consult alice 1004 transfer")
		d := x.answer("dave")
		x.hears("CallCtlConnEstablishedEv line=1004")
		x.do("transfer alice")
		x.hears("CiscoTransferStartEv", "CiscoTransferEndEv")
		must(t, d.Hangup(x.ctx))
		x.none()
	})
	t.Run("conference", func(t *testing.T) {
		x.t = t
		defer x.report()
		x.do("call bob 1002 1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("answer alice")
		x.hears("CallCtlTermConnTalkingEv terminal=alice")
		x.do("consult alice 1004 conference")
		x.answer("dave")
		x.hears("CallCtlConnEstablishedEv line=1004")
		x.do("conference alice")
		x.hears("CiscoConferenceStartEv", "CiscoConferenceEndEv")
		x.do("dropparty alice 1004")
		x.hears("ConnDisconnectedEv line=1004")
		x.do("drop alice")
		x.none()
	})
	t.Run("park", func(t *testing.T) {
		x.t = t
		defer x.report()
		c := x.dial("carol", "1001")
		x.hears("TermConnRingingEv terminal=alice")
		x.do("answer alice")
		x.hears("CallCtlTermConnTalkingEv terminal=alice")
		if at := x.do("park alice"); at != "7000" {
			t.Errorf("parked at %s", at)
		}
		x.do("unpark bob 1002 7000")
		x.hears("CallCtlTermConnTalkingEv terminal=bob")
		must(t, c.Hangup(x.ctx))
		x.none()
	})
	t.Run("pickup", func(t *testing.T) {
		x.t = t
		defer x.report()
		c := x.dial("carol", "1004")
		<-x.calls["dave"]
		x.do("pickup alice 1001")
		x.hears("TermConnActiveEv terminal=alice")
		must(t, c.Hangup(x.ctx))
		x.none()
	})
	t.Run("settings", func(t *testing.T) {
		x.t = t
		defer x.report()
		x.do("forward 1001 1003")
		if to := x.do("forwarding 1001"); to != "1003" {
			t.Errorf("forwarded to %s", to)
		}
		x.do("unforward 1001")
		x.do("waiting 1001 on")
		x.do("summary 1001 3")
		x.do("waiting 1001 off")
		x.do("dnd alice on")
		x.hears("CiscoTermDNDStatusChangedEv")
		x.do("dndoption alice")
		x.do("dnd alice off")
		x.do("huntlog alice 2")
		x.do("huntlog alice 1")
		x.do("snapshot alice")
	})
}

// report says what was heard, of a test that failed.
func (x *controlled) report() {
	if x.t.Failed() || testing.Verbose() {
		x.t.Log("heard:\n" + strings.Join(x.eventsSince(0), "\n"))
	}
}
