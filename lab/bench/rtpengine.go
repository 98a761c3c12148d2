package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/wire/sdp"
)

// engine is a running rtpengine in user space, driven over its NG protocol (bencoded dictionaries in UDP datagrams).
type engine struct {
	*child
	conn  net.Conn
	seq   int
	calls int
}

func (b *bench) startEngine(ctx context.Context) (*engine, error) {
	path, err := peers.Find("rtpengine")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "rtpengine")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	ng := netip.AddrPortFrom(addr, 2223).String()
	c, err := launch(dir, "rtpengine", path, "--config-file=none", "--foreground", "--log-stderr", "--log-level=4", "--table=-1", "--no-fallback=false",
		"--interface="+addr.String(), "--listen-ng="+ng, "--num-threads=2", "--port-min=20000", "--port-max=24000", "--pidfile="+dir+"/pid")
	if err != nil {
		return nil, err
	}
	e := &engine{child: c}
	if e.conn, err = net.Dial("udp", ng); err == nil {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err = e.ready(ctx, func() bool {
			_, err := e.ask(200*time.Millisecond, map[string]string{"command": "ping"}, nil)
			return err == nil
		})
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return e, nil
}

func (e *engine) end() { e.conn.Close(); e.stop() }

// ask sends one command and returns the answer as it came.
func (e *engine) ask(wait time.Duration, words map[string]string, lists map[string][]string) ([]byte, error) {
	e.seq++
	cookie := strconv.Itoa(e.seq)
	text := func(b []byte, s string) []byte {
		return append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...)
	}
	b := append([]byte(cookie), " d"...)
	for k, v := range words {
		b = text(text(b, k), v)
	}
	for k, list := range lists {
		b = append(text(b, k), 'l')
		for _, v := range list {
			b = text(b, v)
		}
		b = append(b, 'e')
	}
	b = append(b, 'e')
	if _, err := e.conn.Write(b); err != nil {
		return nil, err
	}
	_ = e.conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 16<<10)
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if rest, ok := bytes.CutPrefix(buf[:n], []byte(cookie+" ")); ok {
			if bytes.Contains(rest, []byte("6:result5:error")) {
				return nil, fmt.Errorf("rtpengine: %s", rest)
			}
			return rest, nil
		}
	}
}

// sdpOf is the value of the key sdp of an answer.
func sdpOf(b []byte) ([]byte, error) {
	at := bytes.Index(b, []byte("3:sdp"))
	if at < 0 {
		return nil, fmt.Errorf("rtpengine answered without sdp: %s", b)
	}
	digits, rest, ok := bytes.Cut(b[at+5:], []byte(":"))
	n, err := strconv.Atoi(string(digits))
	if !ok || err != nil || n > len(rest) {
		return nil, fmt.Errorf("rtpengine answered with a broken sdp: %s", b)
	}
	return rest[:n], nil
}

func newKey(s sdp.Suite) (*sdp.Crypto, error) {
	key, err := sdp.GenerateKey(rand.Reader, s)
	return &sdp.Crypto{Tag: 1, Suite: s, Key: key}, err
}

// only leaves the keys of one suite in an SDP.
func only(body []byte, s sdp.Suite) (out []byte) {
	for line := range bytes.Lines(body) {
		if bytes.HasPrefix(line, []byte("a=crypto:")) && !bytes.Contains(line, []byte(s.String()+" ")) {
			continue
		}
		out = append(out, line...)
	}
	return out
}

// call sets up one call with two legs of the pump. Where both ends use SRTP, the callee chooses another suite with the same cipher
// than the caller offered, or rtpengine would pass the keys on and do no cryptography at all.
func (e *engine) call(p *load.Pump, n int, from, to bool) ([]*load.Leg, error) {
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	id := fmt.Sprintf("call%d", n)
	var keyA, keyB *sdp.Crypto
	var err error
	suite := sdp.AES_CM_128_HMAC_SHA1_80
	if to {
		suite = sdp.AES_CM_128_HMAC_SHA1_32
	}
	if from {
		if keyA, err = newKey(suite); err != nil {
			return nil, err
		}
	}
	a, err := p.Leg(ip, keyA)
	if err != nil {
		return nil, err
	}
	words := map[string]string{"command": "offer", "call-id": id, "from-tag": "a", "ICE": "remove", "DTLS": "off", "transport-protocol": "RTP/AVP", "sdp": string(load.Describe(netip.AddrPortFrom(ip, a.Addr().Port()), keyA))}
	lists := map[string][]string{"replace": {"origin", "session-connection"}}
	if to {
		words["transport-protocol"] = "RTP/SAVP"
	}
	answer, err := e.ask(2*time.Second, words, lists)
	if err != nil {
		return nil, err
	}
	offered, err := sdpOf(answer)
	if err != nil {
		return nil, err
	}
	if to {
		offered = only(offered, sdp.AES_CM_128_HMAC_SHA1_80)
		c, ok := load.Offered(offered)
		if !ok {
			return nil, fmt.Errorf("rtpengine offers no key:\n%s", offered)
		}
		if keyB, err = newKey(c.Suite); err != nil {
			return nil, err
		}
		keyB.Tag = c.Tag
	}
	z, err := p.Leg(ip, keyB)
	if err != nil {
		return nil, err
	}
	if err := z.Answer(offered); err != nil {
		return nil, err
	}
	if answer, err = e.ask(2*time.Second, map[string]string{"command": "answer", "call-id": id, "from-tag": "a", "to-tag": "b", "ICE": "remove", "DTLS": "off",
		"sdp": string(load.Describe(netip.AddrPortFrom(ip, z.Addr().Port()), keyB))}, map[string][]string{"replace": {"origin", "session-connection"}}); err != nil {
		return nil, err
	}
	answered, err := sdpOf(answer)
	if err != nil {
		return nil, err
	}
	return []*load.Leg{a, z}, a.Answer(answered)
}
