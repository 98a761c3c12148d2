// Command recorder is a CTI port that records: it answers whoever is connected with it, called directly or taken into a call by a
// conference, and writes what it hears to a WAV file for each call (8 kHz, 16 bit), named by time and caller.
//
//	locktone tsp configure --user recorder --password ...; locktone tsp fetch-certificate
//	recorder -dir tsp -out recordings
//
// It is media of one's own in little: the port is registered with SRTP, each call has a socket of its own, the keys come from the CTI
// manager (for users of the group Standard CTI Allow Reception of SRTP Key Material, on the secure port), and are used and nowhere
// written. Whoever calls must be told that calls are recorded: that is the site's affair, as the law there has it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/wire/ctiqbe"
)

func main() {
	log.SetFlags(log.Ltime)
	dir := flag.String("dir", "tsp", "folder of locktone tsp")
	device := flag.String("device", "", "CTI port; otherwise every one that the user controls")
	out := flag.String("out", "recordings", "folder of the recordings")
	address := flag.String("address", "", "address for media; otherwise the one from which the CTI manager is reached")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *device, *out, *address); err != nil && ctx.Err() == nil {
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, device, out, address string) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	settings, err := cti.LoadSettings(dir)
	if err != nil {
		return err
	}
	provider, err := settings.Open(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer provider.Close()
	r := &recorder{provider: provider, out: out, calls: map[cti.CallID]*recording{}}
	if r.local, err = localAddress(address, provider.Status().Manager); err != nil {
		return err
	}
	defer r.end()
	for _, d := range provider.Devices() {
		if d.Name != device && (device != "" || d.Type != ctiqbe.DeviceTypeCTIPort) {
			continue
		}
		if err := provider.OpenPort(ctx, d.Name, cti.Port{}); err != nil {
			return err
		}
		r.ports++
		for _, l := range d.Lines {
			log.Printf("%s records", l.ID)
		}
	}
	if r.ports == 0 {
		return fmt.Errorf("user %s controls no CTI port %s: see locktone tsp phones", settings.User, device)
	}
	for {
		event, err := provider.Next(ctx)
		if err != nil {
			return err
		}
		if err := r.hear(ctx, event); err != nil {
			return err
		}
	}
}

// localAddress is the address that a packet to the CTI manager would leave from, where none is given.
func localAddress(given, manager string) (netip.Addr, error) {
	if given != "" {
		return netip.ParseAddr(given)
	}
	host, _, err := net.SplitHostPort(manager)
	if err != nil {
		host = manager
	}
	c, err := net.Dial("udp", net.JoinHostPort(host, "9")) // nothing is sent
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// recorder has the calls of the ports.
type recorder struct {
	provider *cti.Provider
	out      string
	local    netip.Addr
	ports    int
	calls    map[cti.CallID]*recording
	requests sync.WaitGroup
}

// end finishes all recordings.
func (r *recorder) end() {
	r.requests.Wait()
	for id := range r.calls { // in any order: each is a file of its own
		r.over(id)
	}
}

func (r *recorder) hear(ctx context.Context, event cti.Event) error {
	switch e := event.(type) {
	case cti.NewCall:
		r.take(ctx, e.Call)
	case cti.CallChanged:
		r.take(ctx, e.Call)
	case cti.MediaWanted:
		return r.listen(ctx, e)
	case cti.Key:
		r.key(ctx, e)
	case cti.Media:
		if c := r.calls[e.Call]; c != nil && e.Start {
			c.flows(e)
			return c.begin(r.out)
		}
	case cti.CallEnded:
		r.over(e.Call.ID)
	case cti.LinkLost:
		log.Printf("CTI manager %s is gone: %v", e.Manager, e.Err)
	case cti.Gap:
		log.Printf("connected to %s", e.Manager)
		if len(e.Lost) > 0 {
			return fmt.Errorf("%s is no longer ours: %w", e.Lost[0].Line, e.Lost[0].Err)
		}
	case cti.Closed:
		return errors.Join(errors.New("the provider ended"), e.Err)
	}
	return nil
}

// take lets a call ring that is offered, and answers one that rings. It does not wait: the manager answers when media is agreed, and
// asks for its address before.
func (r *recorder) take(ctx context.Context, c cti.Call) {
	if c.Outgoing() || c.Remote {
		return
	}
	request := r.provider.Accept
	switch c.State {
	case ctiqbe.CallStateOffering:
		if r.calls[c.ID] == nil {
			r.calls[c.ID] = &recording{caller: c.Calling, stop: make(chan struct{})}
		}
	case ctiqbe.CallStateAccepted:
		request = r.provider.Answer
	default:
		return
	}
	r.requests.Go(func() {
		if err := request(ctx, c); err != nil && ctx.Err() == nil && !errors.Is(err, cti.ErrNoCall) {
			log.Print(err)
		}
	})
}

// listen opens the socket of a call.
func (r *recorder) listen(ctx context.Context, e cti.MediaWanted) error {
	c := r.calls[e.Call]
	if c == nil {
		return nil
	}
	if c.conn == nil {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0)))
		if err != nil {
			return err
		}
		c.listen(conn)
	}
	at := c.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	r.requests.Go(func() {
		if err := r.provider.SetMedia(ctx, e.Device, e.Call, netip.AddrPortFrom(at.Addr().Unmap(), at.Port())); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
	})
	return nil
}

// key gives a recording its keys. Without the right to them there is nothing to record, and the caller shall not think so.
func (r *recorder) key(ctx context.Context, e cti.Key) {
	c := r.calls[e.Call]
	if c == nil {
		return
	}
	err := c.key(e)
	if err == nil {
		err = c.begin(r.out)
	}
	if err == nil {
		return
	}
	log.Printf("the call of %s is not recorded: %v", c.caller, err)
	for _, call := range r.provider.Calls() {
		if call.ID == e.Call {
			r.requests.Go(func() { _ = r.provider.Drop(ctx, call) })
		}
	}
}

func (r *recorder) over(id cti.CallID) {
	c := r.calls[id]
	if c == nil {
		return
	}
	delete(r.calls, id)
	if err := c.close(); err != nil {
		log.Printf("the recording of %s: %v", c.caller, err)
	}
	if c.name != "" {
		log.Printf("recorded %s: %d packets, %d refused", c.name, c.heard, c.refused)
	}
}
