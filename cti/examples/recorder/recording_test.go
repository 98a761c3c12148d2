package main

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// TestOnlyWhatCanBeBelieved: with keys nothing but what they open is heard, without encryption nothing but what comes from the other end,
// and a user who is given no keys is told so.
func TestOnlyWhatCanBeBelieved(t *testing.T) {
	key, err := sdp.NewKey(sdp.AES_CM_128_HMAC_SHA1_80, []byte("sixteen-octets-kfourteen-octet"))
	if err != nil {
		t.Fatal(err)
	}
	c := sdp.Crypto{Suite: sdp.AES_CM_128_HMAC_SHA1_80, Key: key}
	sender, err := srtp.NewSender(c)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := srtp.NewReceiver(c)
	if err != nil {
		t.Fatal(err)
	}
	there, elsewhere := netip.MustParseAddrPort("192.0.2.1:5004"), netip.MustParseAddrPort("192.0.2.9:5004")
	speech := func(seq uint16) []byte {
		return append(rtpstat.Header{Seq: seq, Stamp: uint32(seq) * frameSize, SSRC: 7}.Append(nil), make([]byte, frameSize)...)
	}
	sealed, err := sender.RTP(nil, speech(1))
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{to: there, receiver: receiver}
	r.packet(sealed, there) // before media was told
	r.started = true
	r.packet(speech(2), there)
	if r.heard != 0 || r.refused != 1 {
		t.Errorf("heard %d, refused %d", r.heard, r.refused)
	}
	r.packet(append([]byte(nil), sealed...), elsewhere)
	if r.heard != 1 || r.refused != 1 {
		t.Errorf("heard %d, refused %d", r.heard, r.refused)
	}
	if err := r.key(cti.Key{Receive: true, Indicator: ctiqbe.SecurityIndicatorNotEncrypted}); err != nil {
		t.Fatal(err)
	}
	r.packet(speech(3), elsewhere)
	r.packet(speech(4), there)
	if r.heard != 2 || r.refused != 2 {
		t.Errorf("heard %d, refused %d", r.heard, r.refused)
	}
	if err := r.key(cti.Key{Indicator: ctiqbe.SecurityIndicatorEncryptUserNotAuthorized}); err == nil || !strings.Contains(err.Error(), "standard-cti-allow-reception") {
		t.Error(err)
	}
}

// TestNames: a caller's number cannot lead out of the folder, and a second call in one second has a file of its own.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, number := range []string{"../../1001", "../../1001", "", strings.Repeat("9", 300)} {
		r := &recording{caller: cti.Party{Number: number}, folder: dir, stop: make(chan struct{})}
		if err := r.create(); err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(r.name) != dir {
			t.Errorf("%q is written to %s", number, r.name)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.wav")); len(files) != 4 {
		t.Errorf("%v", files)
	}
}
