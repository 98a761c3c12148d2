// Package ldapserver is a directory small enough to run inside a demo or a test: it knows its entries by heart, binds by password, and searches with
// every kind of filter that directories of the field are asked with, rule 803 (the bits of userAccountControl) included. It speaks over TLS alone and
// changes nothing. Real directories (slapd, Samba's domain controller) judge our client in tests; this one is for the demo, which has
// to run where nobody has installed one.
//
// RFC 4511: messages, results. RFC 4513, 5.1.2: a bind with a name and no password proves nothing, and is refused.
package ldapserver

import (
	"bufio"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// An Entry is one object of the directory.
type Entry struct {
	DN         string
	Password   string // empty: nobody binds as it
	Attributes map[string][]string
}

// A Server is a running directory.
type Server struct {
	listener net.Listener
	entries  []entry
	workers  sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	closed   bool
}

type entry struct {
	Entry
	dn *ldap.DN
}

const (
	maxConns = 64
	idle     = 2 * time.Minute
)

// Start serves entries over TLS to whoever comes to l.
func Start(l net.Listener, cfg *tls.Config, entries ...Entry) (*Server, error) {
	s := &Server{conns: map[net.Conn]bool{}}
	for _, e := range entries {
		dn, err := ldap.ParseDN(e.DN)
		if err != nil {
			return nil, fmt.Errorf("directory: %q is no distinguished name: %w", e.DN, err)
		}
		s.entries = append(s.entries, entry{e, dn})
	}
	s.listener = tls.NewListener(l, cfg)
	s.workers.Go(s.accept)
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends the directory and its connections.
func (s *Server) Close(context.Context) error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.workers.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed || len(s.conns) >= maxConns {
			s.mu.Unlock()
			c.Close()
			continue
		}
		s.conns[c] = true
		s.workers.Go(func() { s.serve(c) })
		s.mu.Unlock()
	}
}

// serve answers the requests of one connection, one after the other, until it ends or sends what is no message.
func (s *Server) serve(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.Close()
	}()
	x := &session{server: s, in: bufio.NewReader(c)}
	for {
		if c.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		m, err := ber.ReadPacket(x.in)
		if err != nil || len(m.Children) < 2 {
			return
		}
		out, more := x.answer(m)
		for _, p := range out {
			if _, err := c.Write(envelope(m.Children[0].Value, p).Bytes()); err != nil {
				return
			}
		}
		if !more {
			return
		}
	}
}

// A session is one connection: who it has proved to be.
type session struct {
	server *Server
	in     *bufio.Reader
	bound  *entry // nil: nobody
}

// answer is what becomes of a request, and whether the connection goes on.
func (x *session) answer(m *ber.Packet) (out []*ber.Packet, more bool) {
	op := m.Children[1]
	if op.ClassType != ber.ClassApplication {
		return nil, false
	}
	switch op.Tag {
	case ldap.ApplicationBindRequest:
		code, text := x.bind(op)
		return []*ber.Packet{result(ldap.ApplicationBindResponse, code, text)}, true
	case ldap.ApplicationSearchRequest:
		return x.search(op), true
	case ldap.ApplicationUnbindRequest:
		return nil, false
	case ldap.ApplicationAbandonRequest:
		return nil, true
	case ldap.ApplicationExtendedRequest:
		return []*ber.Packet{result(ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError, "no extended operation is known here")}, true
	}
	return []*ber.Packet{result(op.Tag+1, ldap.LDAPResultUnwillingToPerform, "this directory is read only")}, true
}

// bind is RFC 4511, 4.2: version, name, and a simple password (context tag 0).
func (x *session) bind(op *ber.Packet) (code uint16, text string) {
	x.bound = nil
	if len(op.Children) != 3 || op.Children[2].Tag != 0 {
		return ldap.LDAPResultAuthMethodNotSupported, "only a name and a password are taken"
	}
	name, password := op.Children[1].Data.String(), op.Children[2].Data.String()
	if password == "" {
		return ldap.LDAPResultUnwillingToPerform, "a name without a password proves nothing (RFC 4513, 5.1.2)"
	}
	dn, err := ldap.ParseDN(name)
	for i := range x.server.entries {
		e := &x.server.entries[i]
		if err == nil && e.dn.EqualFold(dn) && e.Password != "" && subtle.ConstantTimeCompare([]byte(e.Password), []byte(password)) == 1 {
			x.bound = e
			return ldap.LDAPResultSuccess, ""
		}
	}
	return ldap.LDAPResultInvalidCredentials, "name or password is wrong"
}

// search is RFC 4511, 4.5: base, scope, aliases, limits, filter, attributes.
func (x *session) search(op *ber.Packet) []*ber.Packet {
	done := func(code uint16, text string) *ber.Packet {
		return result(ldap.ApplicationSearchResultDone, code, text)
	}
	if x.bound == nil {
		return []*ber.Packet{done(ldap.LDAPResultInsufficientAccessRights, "bind first")}
	}
	if len(op.Children) != 8 {
		return []*ber.Packet{done(ldap.LDAPResultProtocolError, "a search has eight parts")}
	}
	base, err := ldap.ParseDN(op.Children[0].Data.String())
	if err != nil {
		return []*ber.Packet{done(ldap.LDAPResultInvalidDNSyntax, err.Error())}
	}
	scope, _ := op.Children[1].Value.(int64)
	limit, _ := op.Children[3].Value.(int64)
	var out []*ber.Packet
	found := false
	for i := range x.server.entries {
		e := &x.server.entries[i]
		found = found || e.dn.EqualFold(base) || base.AncestorOfFold(e.dn)
		if !within(base, e.dn, scope) || !e.matches(op.Children[6]) {
			continue
		}
		if limit > 0 && int64(len(out)) == limit {
			return append(out, done(ldap.LDAPResultSizeLimitExceeded, "there is more"))
		}
		out = append(out, e.packet(op.Children[7]))
	}
	if !found {
		return []*ber.Packet{done(ldap.LDAPResultNoSuchObject, "there is no "+op.Children[0].Data.String())}
	}
	return append(out, done(ldap.LDAPResultSuccess, ""))
}

func within(base, dn *ldap.DN, scope int64) bool {
	switch scope {
	case ldap.ScopeBaseObject:
		return base.EqualFold(dn)
	case ldap.ScopeSingleLevel:
		return base.AncestorOfFold(dn) && len(dn.RDNs) == len(base.RDNs)+1
	}
	return base.EqualFold(dn) || base.AncestorOfFold(dn)
}

// packet is the entry with the attributes asked for; none named: all.
func (e *entry) packet(wanted *ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(text(ber.TagOctetString, e.DN))
	list := ber.NewSequence("")
	names := make([]string, 0, len(e.Attributes))
	for name := range e.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if len(wanted.Children) > 0 && !slices.ContainsFunc(wanted.Children, func(w *ber.Packet) bool {
			return strings.EqualFold(w.Data.String(), name) || w.Data.String() == "*"
		}) {
			continue
		}
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range e.Attributes[name] {
			values.AppendChild(text(ber.TagOctetString, v))
		}
		one := ber.NewSequence("")
		one.AppendChild(text(ber.TagOctetString, name))
		one.AppendChild(values)
		list.AppendChild(one)
	}
	p.AppendChild(list)
	return p
}

func text(tag ber.Tag, s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, tag, s, "")
}

// result is RFC 4511, 4.1.9: code, matched name, sentence.
func result(tag ber.Tag, code uint16, sentence string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	p.AppendChild(text(ber.TagOctetString, ""))
	p.AppendChild(text(ber.TagOctetString, sentence))
	return p
}

func envelope(id any, op *ber.Packet) *ber.Packet {
	m := ber.NewSequence("")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	m.AppendChild(op)
	return m
}
