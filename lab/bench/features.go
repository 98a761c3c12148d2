package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
)

// The rows of features: what a transfer and a conference cost. Their phones are those of package lab/phone, which can do more than those
// of the load generator and cost more, so the rates are gentle: only the CPU of the server's process counts. There is no peer: a
// proxy passes REFER on to a phone, whose work it then is, and mixes nothing.

// meetings are the meet-me numbers of the conference rows.
const meetings = "88XX"

// featureSite starts our site with numbers to meet at.
func (b *bench) featureSite(ctx context.Context) (*server, error) {
	return b.startChanged(ctx, "locktone", b.bin, func(c *config.Site) {
		c.MeetMeNumbers = append(c.MeetMeNumbers, config.MeetMeNumber{Pattern: meetings, Partition: "internal"})
	})
}

// cast starts phones and waits until they are registered. Each comes from an address of its own.
func (b *bench) cast(ctx context.Context, s *server, first, n int) (all []*phone.Phone, stop func(), err error) {
	stop = func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, p := range all {
			_ = p.Close(end)
		}
	}
	certificate := b.ca.Phones()
	for i := range n {
		name := fmt.Sprintf("load%d", first+i)
		cert, err := certificate(name)
		if err != nil {
			return nil, stop, err
		}
		p, err := phone.Start(ctx, phone.Config{Name: name, Number: strconv.Itoa(first + i), Domain: domain, Server: s.addr.String(), Certificate: cert, Roots: s.roots,
			Local: netip.AddrFrom4([4]byte{127, 100, 1, byte(1 + i)})})
		if err != nil {
			return nil, stop, err
		}
		all = append(all, p)
		if err := p.WaitRegistered(ctx); err != nil {
			return nil, stop, err
		}
	}
	return all, stop, nil
}

// A trio are three phones: the first is called by nobody, the second transfers, the third is the target.
type trio [3]*phone.Phone

// incoming takes the call that comes to a phone.
func incoming(ctx context.Context, p *phone.Phone) (*phone.Call, error) {
	select {
	case c := <-p.Incoming():
		return c, c.Answer(ctx)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s does not ring: %w", p.Name(), ctx.Err())
	}
}

// connect is a call that is up.
func connect(ctx context.Context, from, to *phone.Phone) (a, b *phone.Call, err error) {
	if a, err = from.Dial(ctx, to.Number()); err != nil {
		return nil, nil, err
	}
	if b, err = incoming(ctx, to); err != nil {
		return nil, nil, err
	}
	return a, b, a.WaitAnswered(ctx)
}

// finish hangs up one end and waits for the other.
func finish(ctx context.Context, one, other *phone.Call) error {
	if err := one.Hangup(ctx); err != nil {
		return err
	}
	_, _, err := other.WaitEnded(ctx)
	return err
}

// plain is a call without a transfer: what the others are compared with.
func (t trio) plain(ctx context.Context) error {
	a, b, err := connect(ctx, t[0], t[1])
	if err != nil {
		return err
	}
	return finish(ctx, a, b)
}

// blind: the first calls the second, who sends it to the third.
func (t trio) blind(ctx context.Context) error {
	a, b, err := connect(ctx, t[0], t[1])
	if err != nil {
		return err
	}
	answered := make(chan *phone.Call, 1)
	failed := make(chan error, 1)
	go func() {
		c, err := incoming(ctx, t[2])
		if err != nil {
			failed <- err
			return
		}
		answered <- c
	}()
	if err := transferred(b.Transfer(ctx, t[2].Number())); err != nil {
		return err
	}
	select {
	case c := <-answered:
		if err := a.WaitConnected(ctx, t[2].Number()); err != nil {
			return err
		}
		return finish(ctx, a, c)
	case err := <-failed:
		return err
	}
}

// consulted: the second calls the third as well, and joins the two.
func (t trio) consulted(ctx context.Context) error {
	a, b, err := connect(ctx, t[0], t[1])
	if err != nil {
		return err
	}
	if err := b.Hold(ctx); err != nil {
		return err
	}
	second, c, err := connect(ctx, t[1], t[2])
	if err != nil {
		return err
	}
	if err := transferred(b.TransferTo(ctx, second)); err != nil {
		return err
	}
	if err := a.WaitConnected(ctx, t[2].Number()); err != nil {
		return err
	}
	return finish(ctx, a, c)
}

func transferred(status int, err error) error {
	if err == nil && status != 200 {
		err = fmt.Errorf("the transfer was refused with %d", status)
	}
	return err
}

// trios is how many calls are transferred at a time.
const trios = 8

// transfer is REFER within a call (blind), and REFER with Replaces between two calls (after consultation).
func (b *bench) transfer(ctx context.Context) error {
	s, err := b.featureSite(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	phones, stop, err := b.cast(ctx, s, direct, 3*trios)
	defer stop()
	if err != nil {
		return err
	}
	work := []struct {
		name string
		do   func(trio, context.Context) error
	}{{"call without a transfer", trio.plain}, {"call with a blind transfer", trio.blind}, {"call with a transfer after consultation", trio.consulted}}
	for _, w := range work { // tables, caches and heap as after some work
		if _, _, err := b.repeat(ctx, s, phones, w.do, 1, 0); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	for range b.rounds {
		for i, w := range work {
			each, _, err := b.repeat(ctx, s, phones, w.do, b.seconds, 50)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			b.table.row(w.name+", 50/s: CPU", "us", "").add(s.name, each)
			if i == 0 {
				continue
			}
			_, rate, err := b.repeat(ctx, s, phones, w.do, b.seconds, 0)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			b.table.row(w.name+": as fast as 24 phones of the lab go", "1/s", "").add(s.name, rate)
			b.say("%s: %.0f us, up to %.0f/s", w.name, each, rate)
		}
	}
	b.note("transfer and conference rows have no peer: Kamailio passes REFER on to the phone and mixes nothing; their figures are absolute")
	return nil
}

// repeat has every trio do its work again and again, rate times a second in all (0: as fast as it goes), and returns the server's CPU for
// one, in us, and how many were done a second.
func (b *bench) repeat(ctx context.Context, s *server, phones []*phone.Phone, do func(trio, context.Context) error, seconds, rate float64) (each, done float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second))+30*time.Second)
	defer cancel()
	var count atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, trios)
	before, begin := spent(s.pid), time.Now()
	until := begin.Add(time.Duration(seconds * float64(time.Second)))
	for i := range trios {
		group.Go(func() {
			t := trio(phones[3*i : 3*i+3])
			for next := begin; time.Now().Before(until); {
				if rate > 0 {
					next = next.Add(time.Duration(trios / rate * float64(time.Second)))
					select {
					case <-time.After(time.Until(next)):
					case <-ctx.Done():
					}
				}
				if err := do(t, ctx); err != nil {
					errs <- err
					return
				}
				count.Add(1)
			}
		})
	}
	group.Wait()
	took, cpu, n := time.Since(begin), spent(s.pid)-before, float64(count.Load())
	select {
	case err := <-errs:
		return 0, 0, err
	default:
	}
	if n == 0 {
		return 0, 0, errors.New("nothing was done")
	}
	return float64(cpu.Microseconds()) / n, n / took.Seconds(), nil
}

// conference is the mixing of conferences of 3 and of 16 that are up, all parties speaking, every leg with SRTP and keys of its own.
func (b *bench) conference(ctx context.Context) error {
	s, err := b.featureSite(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	const most = 48
	phones, stop, err := b.cast(ctx, s, direct, most)
	defer stop()
	if err != nil {
		return err
	}
	for range b.rounds {
		for _, size := range []int{3, 16} {
			rooms := most / size
			ms, err := b.meet(ctx, s, phones[:rooms*size], size)
			if err != nil {
				return fmt.Errorf("conference of %d: %w", size, err)
			}
			name := fmt.Sprintf("conference of %d", size)
			b.table.row(name+", all speaking: CPU a second", "ms", "").add(s.name, ms/float64(rooms))
			b.table.row(name+": CPU a second and party", "ms", "").add(s.name, ms/float64(rooms*size))
			b.say("%s, %d at a time: %.2f ms of CPU a second each", name, rooms, ms/float64(rooms))
		}
	}
	return nil
}

// seatTone is what the party at a seat speaks, Hz.
func seatTone(seat int) float64 { return float64(300 + 200*seat) }

// meet brings the phones together, size at a number, sees that all of them hear each other, and returns the server's CPU for a second of it
// in ms.
func (b *bench) meet(ctx context.Context, s *server, phones []*phone.Phone, size int) (ms float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(b.seconds*float64(time.Second))+60*time.Second)
	defer cancel()
	calls := make([]*phone.Call, len(phones))
	for i, p := range phones {
		if calls[i], err = p.Dial(ctx, strconv.Itoa(8800+i/size)); err != nil {
			return 0, err
		}
		if err := calls[i].WaitAnswered(ctx); err != nil {
			return 0, err
		}
		calls[i].Tone(seatTone(i % size))
	}
	defer func() {
		for _, c := range calls {
			err = errors.Join(err, c.Hangup(ctx))
		}
	}()
	for i, c := range calls {
		if size > 3 { // so many tones at once are as loud as the mixer lets them be, and no longer told apart
			err = c.WaitSound(ctx)
		} else {
			err = c.WaitMix(ctx, []float64{seatTone((i + 1) % size), seatTone((i + 2) % size)}, seatTone(i%size))
		}
		if err != nil {
			return 0, err
		}
	}
	start := make([]uint64, len(calls))
	for i, c := range calls {
		start[i] = c.Evidence().RxAuth
	}
	before, begin := spent(s.pid), time.Now()
	select {
	case <-time.After(time.Duration(b.seconds * float64(time.Second))):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	took, cpu := time.Since(begin), spent(s.pid)-before
	for i, c := range calls {
		e := c.Evidence()
		if got, want := float64(e.RxAuth-start[i]), took.Seconds()*50; e.Suite == "" || got < 0.9*want || got > 1.1*want { // a stream that fell behind catches up
			return 0, fmt.Errorf("party %d received %.0f authenticated packets in %v, want %.0f", i, got, took, want)
		}
	}
	return float64(cpu.Microseconds()) / 1000 / took.Seconds(), nil
}
