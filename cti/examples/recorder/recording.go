package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/jitter"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// frame is 20 ms, the pace at which samples are written and silence is sent.
const (
	frame     = 20 * time.Millisecond
	frameSize = wav.Rate / 50
)

// recording is the media of one call: what comes is written, and silence goes out, because an end that sends nothing is taken for dead.
type recording struct {
	caller cti.Party
	conn   *net.UDPConn
	stop   chan struct{}
	work   sync.WaitGroup

	mu       sync.Mutex // everything below
	plain    bool       // the manager says that this call is not encrypted
	receiver *srtp.Receiver
	sender   *srtp.Sender
	heardBy  sdp.Crypto
	sentBy   sdp.Crypto
	started  bool // media comes
	to       netip.AddrPort
	law      g711.Law
	out      rtpstat.Header
	source   uint32 // SSRC of what is heard
	buffer   jitter.Buffer
	heard    uint64
	refused  uint64
	err      error

	folder, name string
	file         *os.File
	wav          *wav.Recorder
}

func suiteOf(a ctiqbe.MediaEncryption) sdp.Suite {
	switch a {
	case ctiqbe.MediaEncryptionAES128Counter:
		return sdp.AES_CM_128_HMAC_SHA1_32
	case ctiqbe.MediaEncryptionAES128Counter80:
		return sdp.AES_CM_128_HMAC_SHA1_80
	case ctiqbe.MediaEncryptionAEAD128Counter:
		return sdp.AEAD_AES_128_GCM
	case ctiqbe.MediaEncryptionAEAD256Counter:
		return sdp.AEAD_AES_256_GCM
	}
	return sdp.NoSuite
}

// key takes the key of a direction, or that there is none.
func (r *recording) key(e cti.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Indicator {
	case ctiqbe.SecurityIndicatorNotEncrypted:
		r.plain = true
		return nil
	case ctiqbe.SecurityIndicatorEncryptKeysUnavailable:
		r.plain = false // they follow when they come
		return nil
	case ctiqbe.SecurityIndicatorEncryptKeysAvailable:
	default:
		return errors.New("the user is not given its keys: add it to the group standard-cti-allow-reception-of-srtp-key-material, and use port 2749")
	}
	suite := suiteOf(e.Algorithm)
	key, salt := e.Material.Reveal()
	k, err := sdp.NewKey(suite, slices.Concat(key, salt))
	if err != nil {
		return err
	}
	r.plain = false
	c := sdp.Crypto{Suite: suite, Key: k}
	switch { // the same key goes on where it was: a sender that began again would use its keystream twice
	case e.Receive && (r.receiver == nil || !r.heardBy.SameKey(c)):
		r.heardBy = c
		r.receiver, err = srtp.NewReceiver(c)
	case !e.Receive && (r.sender == nil || !r.sentBy.SameKey(c)):
		r.sentBy = c
		r.sender, err = srtp.NewSender(c)
	}
	return err
}

// flows notes where media goes to.
func (r *recording) flows(e cti.Media) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Receive {
		r.started = true
		return
	}
	r.to, r.law = e.Address, g711.ULaw
	if e.Payload == ctiqbe.MediaPayloadG711ALaw64K {
		r.law = g711.ALaw
	}
}

// listen starts to hear.
func (r *recording) listen(conn *net.UDPConn) {
	r.conn = conn
	r.work.Go(func() {
		for buf := make([]byte, 2048); ; {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				r.packet(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
			}
		}
	})
}

// packet puts what was said in its place, if it can be believed: by its key, and without one by where it came from.
func (r *recording) packet(b []byte, from netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rtpstat.IsRTCP(b) || !r.started {
		return
	}
	switch {
	case !r.plain && r.receiver != nil:
		var v srtp.Verdict
		if b, v = r.receiver.RTP(b[:0], b); v != srtp.Accepted {
			r.refused++
			return
		}
	case !r.plain || from != r.to:
		r.refused++
		return
	}
	h, payload, ok := rtpstat.Parse(b)
	law := g711.Law(h.PT)
	if !ok || law != g711.ULaw && law != g711.ALaw {
		return
	}
	if h.SSRC != r.source {
		r.buffer.Reset()
		r.source = h.SSRC
	}
	r.heard++
	pcm := make([]int16, len(payload))
	law.Decode(pcm, payload)
	r.buffer.Write(h.Stamp, pcm)
}

// begin starts the file once media comes and can be read.
func (r *recording) begin(folder string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil || r.conn == nil || !r.started || !r.plain && r.receiver == nil {
		return nil
	}
	var random [10]byte
	_, _ = rand.Read(random[:])
	r.out.SSRC, r.out.Stamp, r.out.Seq = binary.BigEndian.Uint32(random[:]), binary.BigEndian.Uint32(random[4:]), binary.BigEndian.Uint16(random[8:])
	r.folder = folder
	if err := r.create(); err != nil {
		return err
	}
	r.work.Go(r.write)
	return nil
}

// create opens the next file: the date and time, the caller, and a number where there is one of that name.
func (r *recording) create() error {
	caller := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' {
			return c
		}
		return '_'
	}, r.caller.Number)
	if len(caller) > 40 {
		caller = caller[:40]
	}
	if caller == "" {
		caller = "unknown"
	}
	base := filepath.Join(r.folder, time.Now().Format("20060102-150405")+"-"+caller)
	for i := 1; ; i++ {
		name := base + ".wav"
		if i > 1 {
			name = fmt.Sprintf("%s-%d.wav", base, i)
		}
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		r.file, r.name = f, name
		r.wav, err = wav.NewRecorder(f, 0)
		return err
	}
}

// write writes and sends, frame by frame as time goes by, until the call is over.
func (r *recording) write() {
	begun, done := time.Now(), 0
	ticks := time.NewTicker(frame)
	defer ticks.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticks.C:
		}
		for due := int(time.Since(begun) / frame); done < due; done++ {
			if err := r.step(); err != nil {
				r.mu.Lock()
				r.err = err
				r.mu.Unlock()
				return
			}
		}
	}
}

func (r *recording) step() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silence()
	var pcm [frameSize]int16
	r.buffer.Read(pcm[:])
	err := r.wav.WritePCM(pcm[:])
	if !errors.Is(err, wav.ErrFull) {
		return err
	}
	if err := errors.Join(r.wav.Close(), r.file.Close()); err != nil { // an hour: the next file
		return err
	}
	return r.create()
}

// silence sends a packet of it.
func (r *recording) silence() {
	if !r.to.IsValid() || r.sender == nil && !r.plain {
		return
	}
	r.out.PT = uint8(r.law)
	r.out.Seq++
	r.out.Stamp += frameSize
	packet := r.out.Append(make([]byte, 0, 12+frameSize+srtp.Overhead))
	for range frameSize {
		packet = append(packet, r.law.Silence())
	}
	if !r.plain {
		var err error
		if packet, err = r.sender.RTP(packet[:0], packet); err != nil {
			return
		}
	}
	_, _ = r.conn.WriteToUDPAddrPort(packet, r.to) // one that is lost is lost
}

// close ends the recording and completes the file.
func (r *recording) close() error {
	close(r.stop)
	if r.conn != nil {
		_ = r.conn.Close()
	}
	r.work.Wait()
	if r.file == nil {
		return r.err
	}
	return errors.Join(r.err, r.wav.Close(), r.file.Close())
}
