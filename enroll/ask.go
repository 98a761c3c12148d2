package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/trustlist"
	"github.com/locktone/locktone/wire/tvs"
)

// tvsTime bounds one question to a trust verification service.
const tvsTime = 10 * time.Second

// ask asks the trust verification services of the lists held who a signer is. The service has to stand in the lists as TVS.
func (p *Phone) ask(ctx context.Context, signer trustlist.SignerID, l *Lists) (*x509.Certificate, []trustlist.Role, error) {
	err := errors.New("the lists held name no trust verification service")
	for _, address := range p.services(*l) {
		var res tvs.Response
		if res, err = p.query(ctx, address, signer, l); err != nil {
			continue
		}
		if res.Status != tvs.Found {
			return nil, nil, fmt.Errorf("%s: %v", address, res.Status)
		}
		cert, err := x509.ParseCertificate(res.Certificate)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", address, err)
		}
		var roles []trustlist.Role
		for _, r := range res.Roles {
			roles = append(roles, trustlist.Role(r))
		}
		return cert, roles, nil
	}
	return nil, nil, err
}

// services are the addresses of TVS: as told, of the configuration, of the lists.
func (p *Phone) services(l Lists) (out []string) {
	if p.cfg.TVS != "" {
		return []string{withPort(p.cfg.TVS, strconv.Itoa(tvs.Port))}
	}
	if p.last != nil && p.last.Device != nil {
		for _, s := range p.last.Device.TVS {
			out = append(out, net.JoinHostPort(s.Host, strconv.Itoa(orDefault(s.Port, tvs.Port))))
		}
	}
	if len(out) > 0 {
		return out
	}
	return addresses(l, trustlist.RoleTVS, tvs.Port)
}

// query asks one service.
func (p *Phone) query(ctx context.Context, address string, signer trustlist.SignerID, l *Lists) (tvs.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, tvsTime)
	defer cancel()
	raw, err := p.client.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return tvs.Response{}, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	conn := tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec: verified below, against the trust lists
		VerifyConnection: func(cs tls.ConnectionState) error {
			return listed(cs.PeerCertificates[0], l.both(), trustlist.RoleTVS)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if have, err := p.Credential(); err == nil {
				return &have, nil
			}
			return &tls.Certificate{}, nil
		},
	})
	p.session++
	b, err := tvs.Request{Session: p.session, Device: p.cfg.Name, DeviceType: tvs.DeviceType, Subject: signer.Subject, Issuer: signer.Issuer, Serial: signer.Serial}.Message().Append(nil)
	if err != nil {
		return tvs.Response{}, err
	}
	if _, err := conn.Write(b); err != nil {
		return tvs.Response{}, err
	}
	m, err := tvs.Read(conn, 0)
	if err != nil {
		return tvs.Response{}, err
	}
	res, err := m.Response()
	if err == nil && (!res.Query || res.Session != p.session) {
		err = fmt.Errorf("%s answers another question", address)
	}
	return res, err
}
