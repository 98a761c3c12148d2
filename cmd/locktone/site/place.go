package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/locktone/locktone/config"
)

// place decides what runs here and where the call manager listens: where the site says, else at the default of a one-machine
// site.
func (s *Site) place(ctx context.Context) error {
	now, err := s.Store.Site(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(now.Site.Nodes, func(n config.Node) bool { return n.Name == s.node.Node })
	switch {
	case at < 0 && s.opt.Node.Node == "" && len(now.Site.Nodes) == 1:
		at, s.node.Node = 0, now.Site.Nodes[0].Name // nobody gave this machine a name, and there is only one it can be
	case at < 0 && len(now.Site.Nodes) > 0:
		return fmt.Errorf("the site has no node %q: add it under nodes, or correct node in the node's own configuration", s.node.Node)
	}
	if at >= 0 {
		s.here = now.Site.Nodes[at]
	}
	if err := s.placeCallManager(ctx); err != nil || s.listen != nil {
		return err
	}
	if !s.opt.CallManager.IsValid() {
		if s.opt.CallManager, err = FreeAddress(1); err != nil {
			return err
		}
	}
	s.listen = []netip.Addr{s.opt.CallManager}
	return nil
}

// placeCallManager takes the addresses the site gives the call manager of this node, if it gives any.
func (s *Site) placeCallManager(ctx context.Context) error {
	svc := s.service(config.ServiceCallManager)
	texts := svc.AlsoAddresses
	if first := cmp.Or(svc.Address, s.here.Address); first != "" {
		texts = append([]string{first}, texts...)
	}
	for _, text := range texts {
		addr, err := ipOf(ctx, text)
		if err != nil {
			return fmt.Errorf("nodes[%s].services[callmanager]: address %q: %w", s.here.Name, text, err)
		}
		s.listen = append(s.listen, addr)
	}
	if s.listen != nil {
		s.opt.CallManager, s.opt.Localhost = s.listen[0], s.opt.Localhost && s.listen[0].IsLoopback()
	}
	return nil
}

// service is what the site says about a service of this node; zero where it lists none.
func (s *Site) service(name config.ServiceName) config.NodeService {
	for _, svc := range s.here.Services {
		if svc.Service == name {
			return svc
		}
	}
	return config.NodeService{}
}

// apart is the address of a service that stands beside the call manager, where the site gives it none: on loopback another one of the call
// manager's network, elsewhere the node's, unless the call manager has its ports.
func (s *Site) apart(name config.ServiceName) ([]netip.Addr, error) {
	at := s.listen[0].Unmap()
	switch {
	case at.Is4() && at.IsLoopback():
		b := at.As4()
		b[3] = byte(10 * (2 + slices.Index(besideCallManager, name)))
		return []netip.Addr{netip.AddrFrom4(b)}, nil
	case name == config.ServiceContactCenter || !s.here.Runs(config.ServiceCallManager):
		return s.listen, nil
	}
	return nil, fmt.Errorf("nodes[%s].services[%s]: the call manager of this node has port 5061 of %s: give the service an address of its own", s.here.Name, name, at)
}

// besideCallManager are the services with an address of their own on loopback: .20, .30, .40, .50.
var besideCallManager = []config.ServiceName{config.ServiceCallServer, config.ServiceVoiceBrowser, config.ServiceBorder, config.ServiceContactCenter}

// hostOf is what devices and other products are configured with to reach a service at an address: the host name the site gives
// it, or the address. A voicemail server looks for its own spelling in the trust list.
func (s *Site) hostOf(name config.ServiceName, at netip.Addr) string {
	host := cmp.Or(s.service(name).Address, s.here.Address, at.String())
	if _, err := netip.ParseAddr(host); err == nil {
		return at.String()
	}
	return host
}

// ipOf is the IP address a listener needs: the one given, or that of the host.
func ipOf(ctx context.Context, text string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr, nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("a listener needs an IP address, and the name has none: %w", err)
	}
	return all[0].Unmap(), nil
}

// placeAdmin is where the HTTPS API listens: as the node's own configuration says, else on the address the site gives the
// service.
func (s *Site) placeAdmin(ctx context.Context) ([]netip.Addr, error) {
	local := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if own := s.service(config.ServiceAdmin).Address; own != "" && s.opt.Node.Admin.Address == "" {
		addr, err := ipOf(ctx, own)
		if err != nil {
			return nil, fmt.Errorf("nodes[%s].services[admin]: address %q: %w", s.here.Name, own, err)
		}
		_, port, _ := net.SplitHostPort(s.node.Admin.Address)
		s.node.Admin.Address = net.JoinHostPort(addr.String(), port)
	}
	switch at, err := netip.ParseAddrPort(s.node.Admin.Address); {
	case err != nil || at.Addr() == local[0]:
	case at.Addr().IsUnspecified(): // reached at every address of the node: a new node verifies the one it dials
		local = append(local, s.listen...)
	default:
		local = append(local, at.Addr())
	}
	return local, nil
}

// FreeAddress finds an address 127.0.N.10, from N = first on, on which nobody has port 5061: the default of a one-machine
// site, and the next one when another site runs on this machine.
func FreeAddress(first int) (netip.Addr, error) {
	for n := first; n < first+250; n++ {
		addr := netip.AddrFrom4([4]byte{127, 0, byte(1 + (n-1)%250), 10})
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 5061).String())
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return netip.Addr{}, errors.New("no free loopback address: port 5061 is taken on 127.0.1.10 to 127.0.250.10")
}
