package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// Lists is what administration needs of the published trust lists; *lists.Reader is one.
type Lists interface {
	Current(ctx context.Context, kind trustlist.Kind) (lists.Version, error)
	For(ctx context.Context, holder string, kind trustlist.Kind) (lists.File, error)
	Changed(ctx context.Context) <-chan struct{}
}

// Mode is the security mode of the cluster and the lists that tell it to phones.
type Mode struct {
	Mode config.SecurityMode `json:"mode"`
	// Code is how the field prints the mode: 1 mixed, 0 non-secure.
	Code int `json:"code"`
	// Revision of the configuration that has the mode; CTL and ITL are the numbers of the versions in force, 0 for none.
	Revision int64 `json:"revision"`
	CTL      int   `json:"ctl"`
	ITL      int   `json:"itl"`
	// Changed says that the mode was another one before.
	Changed bool `json:"changed,omitempty"`
}

// TrustFile is a trust list as it is served.
type TrustFile struct {
	Kind    string    `json:"kind"` // CTL or ITL
	Name    string    `json:"name"` // of the file
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Signer  string    `json:"signer"` // SHA-256 of its certificate
	Bytes   []byte    `json:"bytes"`
	Doubt   string    `json:"doubt,omitempty"` // why the device asked for may not be able to verify it
}

// listInput asks for a list.
type listInput struct {
	Kind   string `path:"kind" enum:"ctl,itl"`
	Device string `query:"device" maxLength:"128" doc:"as this device is served it; left out: as those of whom nothing is known"`
}

// modeInput asks for a security mode.
type modeInput struct {
	Body struct {
		Mode string `json:"mode" enum:"mixed,non-secure"`
	}
}

func (m *modeInput) object() string { return m.Body.Mode }

func (s *Server) listOperations(api huma.API) {
	add(s, api, get("trust-list", "/v1/trust/lists/{kind}", RoleViewer, "The trust list in force, as it is served"), s.trustList)
	add(s, api, get("trust-mode", "/v1/trust/mode", RoleViewer, "The security mode of the cluster"), s.mode)
	add(s, api, operation{
		id: "set-trust-mode", method: http.MethodPut, path: "/v1/trust/mode", role: RoleAdministrator, action: "set-security-mode",
		summary: "Make the cluster mixed or non-secure; it returns when the trust lists say so",
	}, s.setMode)
}

func (s *Server) trustList(ctx context.Context, in *listInput) (*body[TrustFile], error) {
	kind := map[string]trustlist.Kind{"ctl": trustlist.CTL, "itl": trustlist.ITL}[in.Kind]
	if s.cfg.Lists == nil {
		return nil, noLists()
	}
	f, err := s.cfg.Lists.For(ctx, in.Device, kind)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem(bus.CodeNotFound, "no "+kind.String()+" has been published yet")
	}
	if err != nil {
		return nil, err
	}
	return &body[TrustFile]{TrustFile{Kind: kind.String(), Name: kind.Filename(), Version: f.Version, Time: f.Time.UTC(), Signer: f.Signer.String(), Bytes: f.Bytes, Doubt: f.Doubt}}, nil
}

func noLists() error { return problem(CodeNotSupported, "this node publishes no trust lists") }

func (s *Server) mode(ctx context.Context, _ *none) (*body[Mode], error) {
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	m, _, err := s.modeNow(ctx, snap)
	return &body[Mode]{m}, err
}

// modeNow is the mode of a configuration, and whether the lists in force say the same.
func (s *Server) modeNow(ctx context.Context, snap store.Snapshot) (m Mode, told bool, err error) {
	m = Mode{Mode: snap.Site.Cluster.SecurityMode, Revision: snap.Revision.Number, Code: 1}
	if m.Mode == config.NonSecureCluster {
		m.Code = 0
	}
	if s.cfg.Lists == nil {
		return m, true, nil
	}
	ctl, err := s.cfg.Lists.Current(ctx, trustlist.CTL)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	itl, err := s.cfg.Lists.Current(ctx, trustlist.ITL)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, false, err
	}
	m.CTL, m.ITL = ctl.Number, itl.Number
	return m, ctl.Mode == m.Mode, nil
}

// setMode changes the configuration and waits until the lists say so: phones that fetch now are told the new mode.
func (s *Server) setMode(ctx context.Context, in *modeInput) (*body[Mode], error) {
	if s.cfg.Lists == nil {
		return nil, noLists()
	}
	var want config.SecurityMode
	if err := want.UnmarshalText([]byte(in.Body.Mode)); err != nil {
		return nil, problem(bus.CodeInvalid, err.Error())
	}
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	changed := snap.Site.Cluster.SecurityMode != want
	if changed {
		next := snap.Site.Clone()
		next.Cluster.SecurityMode = want
		cs := store.ChangeSet{Base: snap.Revision.Number, Author: who(ctx).name, Comment: "security mode " + in.Body.Mode, Changes: config.Diff(snap.Site, next)}
		if _, err := s.cfg.Store.Apply(ctx, cs); err != nil {
			return nil, err
		}
	}
	m, err := s.awaitMode(ctx)
	m.Changed = changed
	return &body[Mode]{m}, err
}

// awaitMode waits until the lists in force say what the configuration says.
func (s *Server) awaitMode(ctx context.Context) (Mode, error) {
	published := s.cfg.Lists.Changed(ctx)
	for {
		snap, err := s.cfg.Store.Site(ctx)
		if err != nil {
			return Mode{}, err
		}
		m, told, err := s.modeNow(ctx, snap)
		if err != nil || told {
			return m, err
		}
		select {
		case <-published:
		case <-ctx.Done():
			return m, problem(bus.CodeUnavailable, fmt.Sprintf("the configuration says %s, the trust lists do not yet: look at `locktone status` for what keeps them from being published", m.Mode))
		}
	}
}
