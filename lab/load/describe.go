package load

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/locktone/locktone/wire/sdp"
)

// deadPort stands in the SDP of a run without media: nobody sends there.
const deadPort = 9

// side makes one end of a call's media: a key where it is to be protected, and a leg where packets are to flow.
func (r *run) side(p *phone, protected bool, suite sdp.Suite, tag int) (*sdp.Crypto, *Leg, error) {
	var crypto *sdp.Crypto
	if protected {
		key, err := sdp.GenerateKey(rand.Reader, suite)
		if err != nil {
			return nil, nil, err
		}
		crypto = &sdp.Crypto{Tag: tag, Suite: suite, Key: key}
	}
	if r.pump == nil {
		return crypto, nil, nil
	}
	leg, err := r.pump.Leg(p.flow.ip, crypto)
	return crypto, leg, err
}

// describe is a phone's offer or answer.
func describe(p *phone, crypto *sdp.Crypto, leg *Leg) []byte {
	at := netip.AddrPortFrom(p.flow.ip, deadPort)
	if leg != nil {
		at = netip.AddrPortFrom(p.flow.ip, leg.Addr().Port())
	}
	return Describe(at, crypto)
}

// Describe is an offer or answer: one audio stream with G.711 and DTMF, protected where there is a key. RFC 8866; RFC 4568.
func Describe(at netip.AddrPort, crypto *sdp.Crypto) []byte {
	family, ip := "IP4 ", at.Addr().String()
	if at.Addr().Is6() {
		family = "IP6 "
	}
	b := make([]byte, 0, 400)
	b = append(append(append(b, "v=0\r\no=- 1 1 IN "...), family...), ip...)
	b = append(append(append(b, "\r\ns=-\r\nc=IN "...), family...), ip...)
	b = strconv.AppendInt(append(b, "\r\nt=0 0\r\nm=audio "...), int64(at.Port()), 10)
	if crypto == nil {
		b = append(b, " RTP/AVP 0 101\r\n"...)
	} else {
		b = append(b, " RTP/SAVP 0 101\r\na=crypto:"...)
		b = append(crypto.Append(b), "\r\n"...)
	}
	return append(b, "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"...)
}

// lineOf is the rest of the first line that begins with prefix.
func lineOf(body []byte, prefix string) (string, bool) {
	rest := body
	for len(rest) > 0 {
		line, next, _ := bytes.Cut(rest, []byte("\n"))
		if v, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r"), []byte(prefix)); ok {
			return string(v), true
		}
		rest = next
	}
	return "", false
}

// cryptoOffered is the first key of the SDP that we can use.
func cryptoOffered(body []byte) (sdp.Crypto, bool) {
	for {
		at := bytes.Index(body, []byte("a=crypto:"))
		if at < 0 {
			return sdp.Crypto{}, false
		}
		body = body[at:]
		v, _ := lineOf(body, "a=crypto:")
		if c, err := sdp.ParseCrypto(v); err == nil {
			return c, true
		}
		body = body[1:]
	}
}

// Offered is the first key in an SDP that can be used here; false: it is to be RTP in clear.
func Offered(body []byte) (sdp.Crypto, bool) { return cryptoOffered(body) }

// suiteOffered is the suite to answer with.
func suiteOffered(body []byte, otherwise sdp.Suite) sdp.Suite {
	if c, ok := cryptoOffered(body); ok {
		return c.Suite
	}
	return otherwise
}

// tagOffered is the tag to answer with. RFC 4568, 5.1.2: the offer's.
func tagOffered(body []byte) int {
	if c, ok := cryptoOffered(body); ok {
		return c.Tag
	}
	return 1
}

// mediaAt is where the SDP wants packets.
func mediaAt(body []byte) (netip.AddrPort, error) {
	c, ok := lineOf(body, "c=IN IP")
	m, ok2 := lineOf(body, "m=audio ")
	if !ok || !ok2 {
		return netip.AddrPort{}, fmt.Errorf("the other end's SDP has no c= or m=audio line")
	}
	ip, err := netip.ParseAddr(strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(c, "4 "), "6 ")))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the other end's SDP: c= line: %w", err)
	}
	port, _, _ := strings.Cut(m, " ")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the other end's SDP: port: %w", err)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}
