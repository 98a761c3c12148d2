// Package pcapng writes capture files of connections as their ends saw them: what was written to a socket and read from it becomes
// packets with IP and TCP headers made here, in the pcapng format, which Wireshark and tshark read.
//
//	w, err := pcapng.NewWriter(file, "locktone demo")
//	l = w.Listener(l)                  // what comes and goes on connections that l accepts is written down
//	config.KeyLogWriter = w.KeyLog()   // and, for those who may read it, how to decrypt it
//
// No privilege is needed, and nothing is missed: it is what the program gave to its sockets. What only the network sees (a packet
// sent twice, a delay) is not in it: for that there is tcpdump. The bytes inside are exact, so that every TLS record is there as it was.
//
// The file consists of the blocks of draft-ietf-opsawg-pcapng: Section Header, Interface Description (link type RAW: packets begin with
// the IP header), Decryption Secrets, Enhanced Packets with a clock of nanoseconds.
package pcapng

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

// Numbers of the format.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockPacket     = 6
	blockSecrets    = 10
	byteOrder       = 0x1a2b3c4d
	secretsTLS      = 0x544c534b // "TLSK"
	linkRaw         = 101
	optionComment   = 1
	optionAppl      = 4
	optionName      = 2
	optionTimescale = 9
)

// A Writer writes one file. Its methods may be called from any goroutine; the first error of the file is kept, and told by Err.
type Writer struct {
	mu    sync.Mutex
	out   io.Writer
	err   error
	now   func() time.Time
	ports map[netip.AddrPort]int // how often a port has been used: sequence numbers begin elsewhere each time
}

// NewWriter begins a file; application is what the file says it was written by.
func NewWriter(out io.Writer, application string) (*Writer, error) {
	w := &Writer{out: out, now: time.Now, ports: map[netip.AddrPort]int{}}
	head := binary.LittleEndian.AppendUint32(nil, byteOrder)
	head = binary.LittleEndian.AppendUint16(head, 1) // version 1.0
	head = binary.LittleEndian.AppendUint16(head, 0)
	head = binary.LittleEndian.AppendUint64(head, ^uint64(0)) // length of the section: not said
	head = option(head, optionAppl, []byte(application))
	w.block(blockSection, option(head, 0, nil))
	face := binary.LittleEndian.AppendUint16(nil, linkRaw)
	face = binary.LittleEndian.AppendUint16(face, 0)
	face = binary.LittleEndian.AppendUint32(face, 0) // packets are not cut
	face = option(face, optionName, []byte("sockets"))
	face = option(face, optionTimescale, []byte{9}) // nanoseconds
	w.block(blockInterface, option(face, 0, nil))
	return w, w.err
}

// Err is the first error of the file.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// KeyLog takes the session secrets of TLS connections (tls.Config.KeyLogWriter) into the file: whoever has the file can read those
// connections. Each stands before what it decrypts, as readers want it, when it is the accepting side that logs.
func (w *Writer) KeyLog() io.Writer { return secrets{w} }

type secrets struct{ w *Writer }

// Write implements io.Writer: lines of the NSS key log format.
func (s secrets) Write(keyLog []byte) (int, error) {
	b := binary.LittleEndian.AppendUint32(nil, secretsTLS)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(keyLog)))
	b = append(b, keyLog...)
	s.w.block(blockSecrets, padded(b))
	return len(keyLog), s.w.Err()
}

// packet writes one packet.
func (w *Writer) packet(p []byte, comment string) {
	at := uint64(w.now().UnixNano())
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, len(p)+64), 0) // of the one interface
	b = binary.LittleEndian.AppendUint32(b, uint32(at>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	b = padded(append(b, p...))
	if comment != "" {
		b = option(option(b, optionComment, []byte(comment)), 0, nil)
	}
	w.block(blockPacket, b)
}

// block writes a block: kind, length, body, length.
func (w *Writer) block(kind uint32, body []byte) {
	size := uint32(len(body) + 12)
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), kind)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = append(b, body...)
	b = binary.LittleEndian.AppendUint32(b, size)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if _, err := w.out.Write(b); err != nil {
		w.err = fmt.Errorf("writing the capture: %w", err)
	}
}

// begin is a number for the sequence numbers of a connection from a port, another one each time.
func (w *Writer) begin(from netip.AddrPort) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[from]++
	return uint32(w.ports[from]) * 0x01000000
}

// option appends an option; kind 0 ends them.
func option(b []byte, kind uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return padded(append(b, value...))
}

// padded fills up to 32 bits.
func padded(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
