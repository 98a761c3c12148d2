package tvs

import (
	"context"

	"github.com/locktone/locktone/bus"
	"github.com/prometheus/client_golang/prometheus"
)

// Service is a running verification service.
type Service struct{ cfg Config }

// Start starts the service. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) { panic("soon") }

// Close stops listening and ends every connection; ctx bounds how long it waits for answers under way.
func (s *Service) Close(ctx context.Context) error { panic("soon") }

// Addresses are where it listens, "tls 127.0.1.10:2445".
func (s *Service) Addresses() []string { panic("soon") }

// Status is how the service is, and where it listens.
func (s *Service) Status(context.Context) bus.ServiceStatus { panic("soon") }

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { panic("soon") }
