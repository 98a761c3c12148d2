package resolve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// typeNAPTR is the NAPTR record type, which dnsmessage does not know. RFC 2915, 2.
const typeNAPTR dnsmessage.Type = 35

// udpPayload is the answer size we can take over UDP: below every path's MTU.
const udpPayload = 1232

// maxRecords bounds what we keep of one answer.
const maxRecords = 64

// negativeTTL is how long "there is nothing" holds when the answer has no SOA to say.
const negativeTTL = 30 * time.Second

func (t Type) wire() dnsmessage.Type {
	switch t {
	case TypeAAAA:
		return dnsmessage.TypeAAAA
	case TypeSRV:
		return dnsmessage.TypeSRV
	case TypeNAPTR:
		return typeNAPTR
	}
	return dnsmessage.TypeA
}

// appendQuery writes a recursive query with EDNS0.
func appendQuery(b []byte, id uint16, name string, t Type) ([]byte, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, fmt.Errorf("resolve: %q is no domain name: %w", name, err)
	}
	builder := dnsmessage.NewBuilder(b, dnsmessage.Header{ID: id, RecursionDesired: true})
	var opt dnsmessage.ResourceHeader
	err = errors.Join(
		builder.StartQuestions(),
		builder.Question(dnsmessage.Question{Name: n, Type: t.wire(), Class: dnsmessage.ClassINET}),
		builder.StartAdditionals(),
		opt.SetEDNS0(udpPayload, dnsmessage.RCodeSuccess, false),
		builder.OPTResource(opt, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return nil, fmt.Errorf("resolve: cannot ask for %q: %w", name, err)
	}
	return builder.Finish()
}

// Errors of an answer; with either the client tries on.
var (
	errTruncated = errors.New("resolve: the answer is truncated")
	errForeign   = errors.New("resolve: this is no answer to the question")
)

// parseAnswer reads the answer to (id, name, t).
func parseAnswer(data []byte, id uint16, name string, t Type) (Answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(data)
	if err != nil || h.ID != id || !h.Response {
		return Answer{}, errForeign
	}
	q, err := p.Question()
	if err != nil || q.Type != t.wire() || !strings.EqualFold(q.Name.String(), name+".") || p.SkipAllQuestions() != nil {
		return Answer{}, errForeign
	}
	if h.Truncated {
		return Answer{}, errTruncated
	}
	if h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError {
		return Answer{}, fmt.Errorf("resolve: the server answers %s for %s", h.RCode, name)
	}
	a := Answer{TTL: -1}
	for n := 0; ; n++ {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil || n == maxRecords {
			return Answer{}, fmt.Errorf("resolve: the answer for %s cannot be read, or has too many records", name)
		}
		if err := a.add(&p, rh, t); err != nil {
			return Answer{}, fmt.Errorf("resolve: a record of %s cannot be read: %w", name, err)
		}
	}
	if a.TTL < 0 {
		a.TTL = negative(&p)
	}
	return a, nil
}

// add takes one record of the type asked for; the CNAMEs on the way to it only shorten the TTL.
func (a *Answer) add(p *dnsmessage.Parser, h dnsmessage.ResourceHeader, t Type) error {
	ttl := time.Duration(h.TTL) * time.Second
	if h.Type != t.wire() || h.Class != dnsmessage.ClassINET {
		return p.SkipAnswer()
	}
	if a.TTL < 0 || ttl < a.TTL {
		a.TTL = ttl
	}
	switch t {
	case TypeA:
		r, err := p.AResource()
		a.Addrs = append(a.Addrs, netip.AddrFrom4(r.A))
		return err
	case TypeAAAA:
		r, err := p.AAAAResource()
		a.Addrs = append(a.Addrs, netip.AddrFrom16(r.AAAA))
		return err
	case TypeSRV:
		r, err := p.SRVResource()
		a.SRV = append(a.SRV, SRV{r.Priority, r.Weight, r.Port, strings.TrimSuffix(r.Target.String(), ".")})
		return err
	}
	r, err := p.UnknownResource()
	if err != nil {
		return err
	}
	n, err := parseNAPTR(r.Data)
	a.NAPTR = append(a.NAPTR, n)
	return err
}

// negative is the TTL of an answer without records: the lesser of the SOA's TTL and minimum.
func negative(p *dnsmessage.Parser) time.Duration {
	for {
		h, err := p.AuthorityHeader()
		if err != nil {
			return negativeTTL
		}
		if h.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return negativeTTL
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return negativeTTL
		}
		return time.Duration(min(h.TTL, soa.MinTTL)) * time.Second
	}
}

var errNAPTR = errors.New("the NAPTR record is cut short")

// parseNAPTR reads the RDATA: order, preference, three character strings and a name that is never compressed. RFC 2915, 2.
func parseNAPTR(b []byte) (NAPTR, error) {
	if len(b) < 4 {
		return NAPTR{}, errNAPTR
	}
	n := NAPTR{Order: binary.BigEndian.Uint16(b), Preference: binary.BigEndian.Uint16(b[2:])}
	b = b[4:]
	for _, text := range []*string{&n.Flags, &n.Services, &n.Expression} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return NAPTR{}, errNAPTR
		}
		*text, b = string(b[1:1+b[0]]), b[1+int(b[0]):]
	}
	name, err := plainName(b)
	n.Replacement = name
	return n, err
}

// plainName reads labels up to the root label.
func plainName(b []byte) (string, error) {
	var labels []string
	for len(b) > 0 && b[0] != 0 {
		size := int(b[0])
		if size > 63 || len(b) < 1+size || len(labels) == 128 {
			return "", errNAPTR
		}
		labels = append(labels, string(b[1:1+size]))
		b = b[1+size:]
	}
	if len(b) == 0 {
		return "", errNAPTR
	}
	return strings.Join(labels, "."), nil
}
