package sipleg_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// crude is a SIP element that answers every INVITE with the same statuses, over plain TCP. It counts what it gets.
func crude(t *testing.T, statuses ...int) (addr netip.AddrPort, got chan sip.Method) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got = make(chan sip.Method, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go serve(conn, statuses, got)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()), got
}

func serve(conn net.Conn, statuses []int, got chan sip.Method) {
	var text bytes.Buffer
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if text.WriteString(line); line != "\r\n" || text.Len() == 2 {
			continue
		}
		_, after, _ := strings.Cut(text.String(), "Content-Length: ")
		digits, _, _ := strings.Cut(after, "\r\n")
		length, _ := strconv.Atoi(digits)
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		m, err := sip.Parse(append(text.Bytes(), body...))
		text.Reset()
		if err != nil {
			return
		}
		got <- m.Method()
		if m.Method() != sip.INVITE {
			continue
		}
		for _, status := range statuses {
			res := sip.NewResponse(m, status, "")
			res.SetToTag("crude")
			if _, err := conn.Write(res.Append(nil)); err != nil {
				return
			}
		}
	}
}

func wayTo(addr netip.AddrPort) sipleg.Way {
	return sipleg.Way{
		URI:     sip.URI{Scheme: "sip", User: "1002", Host: addr.Addr().String(), Port: int(addr.Port()), Params: sip.Params{{Name: "transport", Value: "tcp"}}},
		To:      endpoint.Target{Hops: []endpoint.Hop{{Network: transport.TCP, Addr: addr}}},
		Contact: sip.URI{Scheme: "sip", Host: "127.0.0.1", Port: 5060},
		Profile: &sipleg.Profile{Timers: &transaction.Timers{T1: 10 * time.Millisecond}},
	}
}

// RFC 3263, 4.3: a way that answers 503, or not at all, is followed by the next one; one that has rung is not, and neither is
// one that refuses for another reason.
func TestWaysAfterFailure(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []int
		want     int // what the caller gets; 200 = the next way was tried
	}{
		{"503", []int{503}, 200},
		{"100, 503", []int{100, 503}, 200},
		{"silence", nil, 200},
		{"rang, then 503", []int{180, 503}, 503},
		{"busy", []int{486}, 486},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, _, a, b := bridge(t, nil)
			first, tried := crude(t, c.statuses...)
			x.Before(wayTo(first))
			reqs, _ := record(b)
			_, ress := record(a)
			if c.want == 200 {
				established(t, a, b, reqs, ress)
			} else {
				a.send(a.invite("1002", offer(30000)))
				if res := final(t, ress); res.Status() != c.want {
					t.Errorf("the caller gets %d, want %d", res.Status(), c.want)
				}
				select {
				case r := <-reqs:
					t.Errorf("the next way was tried: %s", r.m.Method())
				default:
				}
			}
			if m := next(t, tried); m != sip.INVITE {
				t.Errorf("the first way got %s", m)
			}
		})
	}
}

// third adds device 3 with the number 1003, which everybody may call, and device 4 with 1004, which nobody may.
func third(cs *call.Site, x *phonetest.Exchange) {
	for n, number := range map[int]string{3: "1003", 4: "1004"} {
		partition := map[int]string{3: "p", 4: "closed"}[n]
		id, name := call.LineID{Number: number, Partition: partition}, phonetest.Device(n)
		cs.Lines = append(cs.Lines, call.Line{ID: id, SearchSpace: "all", Appearances: []call.Appearance{{Device: name, Index: 1, BusyTrigger: 100}}})
		cs.Devices = append(cs.Devices, call.Device{Name: name, Driver: "sip"})
		cs.Plan.Patterns = append(cs.Plan.Patterns, dialplan.Pattern{Digits: number, Partition: partition, Kind: dialplan.DirectoryNumber})
		x.AddDevice(name, id)
	}
}

// RFC 3261, 21.3: a phone that redirects sends the call to what its own line may call, with its Diversion; nowhere else.
func TestRedirection(t *testing.T) {
	for _, c := range []struct {
		to   string
		want int
	}{{"1003", 200}, {"1004", 404}, {"4711", 404}} {
		t.Run(c.to, func(t *testing.T) {
			x, _, a, b := bridge(t, third)
			other := connect(t, x, 3, "1003")
			closed := connect(t, x, 4, "1004")
			reqs, _ := record(b)
			others, _ := record(other)
			never, _ := record(closed)
			_, ress := record(a)
			a.send(a.invite("1002", offer(30000)))
			in := next(t, reqs)
			res := sip.NewResponse(in.m, 302, "")
			res.SetToTag(in.tx.LocalTag())
			res.SetContact(sip.Address{URI: sip.URI{Scheme: "sip", User: c.to, Host: "locktone.test"}})
			_ = in.tx.Respond(res)
			if c.want == 200 {
				moved := next(t, others)
				d := moved.m.Diversions()
				if len(d) != 1 || d[0].Address.URI.User != "1002" || d[0].Reason != "deflection" {
					t.Errorf("Diversion: %q", moved.m.Headers("Diversion"))
				}
				ok(other, moved, answer(20004))
			}
			if res := final(t, ress); res.Status() != c.want {
				t.Errorf("the caller gets %d, want %d", res.Status(), c.want)
			}
			select {
			case r := <-never:
				t.Errorf("a line out of reach got %s", r.m.Method())
			default:
			}
		})
	}
}

// RFC 5806, 5 and RFC 7044, 5: which way a call came is read from Diversion, or where there is none from History-Info, and goes
// out as Diversion, the latest first.
func TestDiversionAndHistory(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []sip.Field
		want   []string // number and reason
	}{
		{"none", nil, nil},
		{"Diversion", []sip.Field{
			{Name: "Diversion", Value: `"Second" <sip:2002@locktone.test>;reason=no-answer;counter=1`},
			{Name: "Diversion", Value: `<sip:2001@locktone.test>;reason=user-busy`},
		}, []string{"2002 no-answer", "2001 user-busy"}},
		{"History-Info", []sip.Field{
			{Name: "History-Info", Value: `<sip:2001@locktone.test?Reason=SIP%3Bcause%3D486>;index=1`},
			{Name: "History-Info", Value: `<sip:2002@locktone.test>;index=1.1`},
			{Name: "History-Info", Value: `<sip:1002@locktone.test;cause=302>;index=1.2`},
		}, []string{"2002 unconditional", "2001 user-busy"}},
		{"Diversion counts before History-Info", []sip.Field{
			{Name: "Diversion", Value: `<sip:2003@locktone.test>;reason=unconditional`},
			{Name: "History-Info", Value: `<sip:2001@locktone.test>;index=1, <sip:1002@locktone.test>;index=1.1`},
		}, []string{"2003 unconditional"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, a, b := bridge(t, func(cs *call.Site, x *phonetest.Exchange) {
				x.AddDevice(phonetest.Device(1), cs.Lines[0].ID).Redirections.Trusted = true
			})
			reqs, _ := record(b)
			inv := a.invite("1002", offer(30000))
			for _, f := range c.fields {
				inv.Add(f.Name, f.Value)
			}
			a.send(inv)
			var got []string
			in := next(t, reqs)
			for _, d := range in.m.Diversions() {
				got = append(got, d.Address.URI.User+" "+d.Reason)
			}
			if strings.Join(got, ",") != strings.Join(c.want, ",") {
				t.Errorf("Diversion %q, want %q", got, c.want)
			}
		})
	}
}
