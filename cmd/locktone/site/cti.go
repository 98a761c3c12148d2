package site

import (
	"context"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/ctimanager"
)

// startCTI starts the CTI Manager, unless the site leaves it out on this node.
func (s *Site) startCTI(ctx context.Context) (err error) {
	x := s.served(ctimanager.Name)
	if x == nil {
		return nil
	}
	own := s.service(config.ServiceCTIManager)
	s.CTI, err = ctimanager.Start(ctx, ctimanager.Config{Node: s.node.Node, Version: s.opt.Version, Addresses: x.addresses, Port: own.Port, Clear: own.Clear,
		Store: s.Store, Bus: s.Bus, Trace: s.Trace, Identity: x.identity, Profiles: s.Profiles, Keys: s.opt.Keys})
	if err == nil {
		s.metrics.MustRegister(s.CTI.Metrics())
	}
	return err
}
