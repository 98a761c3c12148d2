package trace

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The secrets that the sample call carries. None of them may ever be found in what the recorder stores.
var seeded = []string{
	"d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",       // SDES key, RFC 4568, 6.1's length
	"WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",       // a second suite's key
	"753927fa0e85d155564e2e272a28d1802ca10daf449794", // digest response
	"0a4f113b9c1e", // cnonce
	"hunter2hunter2",
	"73950012", // PIN in INFO digits
	"8841299",  // PIN in KPML
	"tok-9f8e7d6c5b4a",
	"MIGHAgEAMBMGByqGSM49", // PEM key
	"s3cr3tIcePwd0123456789",
}

var sampleStart = time.Date(2026, 11, 21, 21, 13, 55, 123_000_000, time.UTC)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

type sampler struct {
	recs []Record
	at   time.Time
}

func (s *sampler) step(ms int) { s.at = s.at.Add(time.Duration(ms) * time.Millisecond) }

// sip adds a message as one service saw it.
func (s *sampler) sip(kind Kind, service, local, device, remote, callID, text string) {
	s.recs = append(s.recs, Record{
		Seq: uint64(len(s.recs) + 1), Time: s.at, Node: "n1", Service: service, Kind: kind, SIPCallID: callID, Net: "tls",
		Device: device, Local: ap(local), Remote: ap(remote), Flow: "f-" + remote, Body: []byte(text),
	})
	s.step(1)
}

func (s *sampler) add(r Record) {
	r.Seq, r.Time, r.Node = uint64(len(s.recs)+1), s.at, "n1"
	s.recs = append(s.recs, r)
}

func msg(first, callID, cseq, toTag, extra, body string) string {
	if toTag != "" {
		toTag = ";tag=" + toTag
	}
	ctype := ""
	if body != "" && !strings.Contains(extra, "Content-Type") {
		ctype = "Content-Type: application/sdp\r\n"
	}
	return fmt.Sprintf("%s\r\nVia: SIP/2.0/TLS 10.0.0.7:5061;branch=z9hG4bK%s%s\r\nMax-Forwards: 70\r\nFrom: \"Alice\" <sips:2001@locktone.test>;tag=a1\r\n"+
		"To: <sips:2002@locktone.test>%s\r\nCall-ID: %s\r\nCSeq: %s\r\n%s%sContent-Length: %d\r\n\r\n%s",
		first, callID, strings.ReplaceAll(cseq, " ", ""), toTag, callID, cseq, extra, ctype, len(body), body)
}

const sdpBody = "v=0\r\no=- 1 1 IN IP4 10.0.0.7\r\ns=-\r\nc=IN IP4 10.0.0.7\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0 101\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31|1:4 FEC_ORDER=FEC_SRTP\r\n" +
	"a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n" +
	"a=ice-pwd:s3cr3tIcePwd0123456789\r\na=sendrecv\r\n"

const credentials = "Authorization: Digest username=\"alice\", realm=\"locktone.test\", nonce=\"abc\", uri=\"sip:locktone.test\",\r\n" +
	" response=\"753927fa0e85d155564e2e272a28d1802ca10daf449794\", cnonce=\"0a4f113b9c1e\", algorithm=SHA-256\r\n"

// sampleCall is a call from a phone over the call manager and the border to a provider's trunk, with everything secret
// a call can carry.
func sampleCall() []Record {
	s := &sampler{at: sampleStart}
	const (
		cm, bd     = "127.0.1.10:5061", "127.0.1.20:5061"
		phone      = "10.0.0.7:40112"
		cmOut      = "127.0.1.10:51000"
		provider   = "192.0.2.9:5061"
		in, out    = KindSIPIn, KindSIPOut
		a, b, c    = "aaa@10.0.0.7", "bbb@127.0.1.10", "ccc@127.0.1.20"
		okDesc     = "SIP/2.0 200 OK"
		ringing    = "SIP/2.0 180 Ringing"
		sep        = "SEP001122334455"
		inviteLine = "INVITE sips:2002@locktone.test SIP/2.0"
	)
	invite := func(id, extra string) string { return msg(inviteLine, id, "1 INVITE", "", extra, sdpBody) }
	s.sip(in, "callmanager", cm, sep, phone, a, invite(a, credentials))
	s.sip(out, "callmanager", cm, sep, phone, a, msg("SIP/2.0 100 Trying", a, "1 INVITE", "", "", ""))
	s.add(Record{Service: "callmanager", Kind: KindSignal, Call: "c7", SIPCallID: a, Leg: "l1", Device: sep, Summary: "Setup from=2001 to=2002", Fields: []Field{{"state", "idle"}}})
	s.add(Record{Service: "callmanager", Kind: KindLink, Level: Error, Call: "c7", SIPCallID: b})
	bm := invite(b, "")
	s.sip(out, "callmanager", cmOut, "", bd, b, bm)
	s.sip(in, "border", bd, "", cmOut, b, bm)
	s.sip(out, "border", bd, "", cmOut, b, msg("SIP/2.0 100 Trying", b, "1 INVITE", "", "", ""))
	s.sip(in, "callmanager", cmOut, "", bd, b, msg("SIP/2.0 100 Trying", b, "1 INVITE", "", "", ""))
	s.add(Record{Service: "border", Kind: KindLink, Level: Error, Call: "g9", SIPCallID: b})
	s.add(Record{Service: "border", Kind: KindLink, Level: Error, Call: "g9", SIPCallID: c})
	s.sip(out, "border", "127.0.1.20:5061", "", provider, c, invite(c, ""))
	s.recs[len(s.recs)-1].Peer = "provider-a"
	s.step(40)
	for _, line := range []string{ringing, okDesc} {
		body := ""
		if line == okDesc {
			body = strings.Replace(sdpBody, "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n", "", 1)
			s.step(2400)
		}
		s.sip(in, "border", bd, "", provider, c, msg(line, c, "1 INVITE", "p1", "", body))
		s.sip(out, "border", bd, "", cmOut, b, msg(line, b, "1 INVITE", "b1", "", body))
		s.sip(in, "callmanager", cmOut, "", bd, b, msg(line, b, "1 INVITE", "b1", "", body))
		s.sip(out, "callmanager", cm, sep, phone, a, msg(line, a, "1 INVITE", "m1", "", body))
	}
	s.sip(in, "callmanager", cm, sep, phone, a, msg("ACK sips:2002@locktone.test SIP/2.0", a, "1 ACK", "m1", "", ""))
	s.sip(out, "callmanager", cmOut, "", bd, b, msg("ACK sips:2002@locktone.test SIP/2.0", b, "1 ACK", "b1", "", ""))
	s.sip(in, "border", bd, "", cmOut, b, msg("ACK sips:2002@locktone.test SIP/2.0", b, "1 ACK", "b1", "", ""))
	s.sip(out, "border", bd, "", provider, c, msg("ACK sips:2002@locktone.test SIP/2.0", c, "1 ACK", "p1", "", ""))
	s.step(900)
	s.sip(in, "callmanager", cm, sep, phone, a, msg("INFO sips:2002@locktone.test SIP/2.0", a, "2 INFO", "m1",
		"Content-Type: application/dtmf-relay\r\n", "Signal=73950012\r\nDuration=160\r\n"))
	s.sip(in, "callmanager", cm, sep, phone, a, msg("NOTIFY sips:2002@locktone.test SIP/2.0", a, "3 NOTIFY", "m1",
		"Event: kpml\r\nContent-Type: application/kpml-response+xml\r\n", `<kpml-response version="1.0" code="200" digits="8841299"/>`))
	hold := strings.Replace(strings.Replace(sdpBody, "sendrecv", "sendonly", 1), "o=- 1 1", "o=- 1 2", 1)
	s.sip(in, "callmanager", cm, sep, phone, a, msg(inviteLine, a, "4 INVITE", "m1", credentials, hold))
	s.sip(out, "callmanager", cm, sep, phone, a, msg("SIP/2.0 488 Not Acceptable Here", a, "4 INVITE", "m1", "", ""))
	s.add(Record{
		Service: "callmanager", Kind: KindMedia, Call: "c7", Leg: "l1", Device: sep, Summary: "SRTP AES_CM_128_HMAC_SHA1_80: 612 packets authenticated in, 611 out",
		Fields: []Field{{"suite", "AES_CM_128_HMAC_SHA1_80"}, {"master_key", "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"}, {"digits", "73950012"}},
	})
	s.step(12000)
	s.sip(in, "border", bd, "", provider, c, msg("BYE sips:2001@locktone.test SIP/2.0", c, "1 BYE", "p1", "", ""))
	s.sip(out, "border", bd, "", provider, c, msg(okDesc, c, "1 BYE", "p1", "", ""))
	s.sip(out, "border", bd, "", cmOut, b, msg("BYE sips:2001@locktone.test SIP/2.0", b, "1 BYE", "b1", "", ""))
	s.sip(in, "callmanager", cmOut, "", bd, b, msg("BYE sips:2001@locktone.test SIP/2.0", b, "1 BYE", "b1", "", ""))
	s.sip(out, "callmanager", cm, sep, phone, a, msg("BYE sips:2001@locktone.test SIP/2.0", a, "1 BYE", "m1", "", ""))
	s.sip(in, "callmanager", cm, sep, phone, a, msg(okDesc, a, "1 BYE", "m1", "", ""))
	s.sip(out, "callmanager", cmOut, "", bd, b, msg(okDesc, b, "1 BYE", "b1", "", ""))
	s.sip(in, "border", bd, "", cmOut, b, msg(okDesc, b, "1 BYE", "b1", "", ""))
	s.add(Record{
		Service: "callmanager", Kind: KindAdmin, Call: "c7", Summary: "user alice password=hunter2hunter2 changed pin: 73950012",
		Body: []byte(`{"user":"alice","password":"hunter2hunter2","nested":"{\"pin\":\"73950012\",\"api_key\":\"tok-9f8e7d6c5b4a\"}","keys":["tok-9f8e7d6c5b4a"],"pin":8841299,"ok":1}`),
	})
	s.add(Record{
		Service: "callmanager", Kind: KindBus, Level: Detail, Call: "c7", Summary: "Bearer for sip:alice:hunter2hunter2@locktone.test",
		Body: []byte("user: alice\npassword: hunter2hunter2\ntoken = tok-9f8e7d6c5b4a\n<auth><secret>tok-9f8e7d6c5b4a</secret></auth>\n" +
			"Proxy-Authorization: Bearer tok-9f8e7d6c5b4a\n-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\nuri: sip:alice:hunter2hunter2@locktone.test\nend\n"),
		Fields: []Field{{"Password", "hunter2hunter2"}, {"note", "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"}},
	})
	return s.recs
}
