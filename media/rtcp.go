package media

import (
	"net/netip"
	"time"

	"github.com/pion/rtcp"

	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/srtp"
)

// reportInterval is the time between reports. RFC 3550, 6.2: at least five seconds.
const reportInterval = 5 * time.Second

// receiveRTCP takes one packet from the RTCP socket.
func (c *core) receiveRTCP(now time.Time, b []byte, from netip.AddrPort) {
	if c.active {
		c.control(now, b, from, false)
	}
}

func (c *core) control(now time.Time, b []byte, from netip.AddrPort, muxed bool) {
	clear, ok := c.in.Control(now, b, from, muxed)
	if !ok {
		return
	}
	packets, err := rtcp.Unmarshal(clear)
	if err != nil {
		c.in.Garbled()
		return
	}
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			c.srReceived, c.srMiddle = now, uint32(sr.NTPTime>>16)
		}
	}
}

// report makes the report that is due, if any.
func (c *core) report(now time.Time) (packet []byte, to netip.AddrPort) {
	if !c.active || c.nextReport.IsZero() || now.Before(c.nextReport) {
		return nil, to
	}
	c.nextReport = now.Add(reportInterval)
	return c.compound(now, nil)
}

// bye says that the stream ends. RFC 3550, 6.6.
func (c *core) bye(now time.Time) (packet []byte, to netip.AddrPort) {
	if !c.active || c.out.Counters().Packets == 0 {
		return nil, to
	}
	return c.compound(now, &rtcp.Goodbye{Sources: []uint32{c.ssrc}})
}

// compound is SR or RR, then SDES, then more. RFC 3550, 6.1: every compound packet begins with a report and has a CNAME.
func (c *core) compound(now time.Time, more rtcp.Packet) (packet []byte, to netip.AddrPort) {
	to = c.in.RTCP.To()
	if !to.IsValid() || to.Port() == 0 {
		return nil, to
	}
	all := []rtcp.Packet{c.senderOrReceiver(now), rtcp.NewCNAMESourceDescription(c.ssrc, c.cname)}
	if more != nil {
		all = append(all, more)
	}
	b, err := rtcp.Marshal(all)
	if err != nil {
		return nil, to
	}
	wire, _ := c.out.Control(append(make([]byte, 0, len(b)+srtp.Overhead), b...))
	return wire, to
}

// senderOrReceiver is SR when packets were sent lately, otherwise RR. RFC 3550, 6.4.
func (c *core) senderOrReceiver(now time.Time) rtcp.Packet {
	blocks, sent := c.blocks(now), c.out.Counters()
	if sent.Packets == 0 || now.Sub(sent.Last) > 2*reportInterval {
		return &rtcp.ReceiverReport{SSRC: c.ssrc, Reports: blocks}
	}
	return &rtcp.SenderReport{SSRC: c.ssrc, NTPTime: ntp(now), RTPTime: c.stamp,
		PacketCount: uint32(sent.Packets), OctetCount: c.payloads, Reports: blocks}
}

func (c *core) blocks(now time.Time) []rtcp.ReceptionReport {
	r, ok := c.in.Report()
	if !ok {
		return nil
	}
	return []rtcp.ReceptionReport{c.block(now, r)}
}

func (c *core) block(now time.Time, r rtpstat.Report) rtcp.ReceptionReport {
	b := rtcp.ReceptionReport{SSRC: r.SSRC, FractionLost: r.Fraction, TotalLost: r.Lost, LastSequenceNumber: r.MaxSeq, Jitter: r.Jitter}
	if !c.srReceived.IsZero() {
		b.LastSenderReport = c.srMiddle
		b.Delay = uint32(now.Sub(c.srReceived) * 65536 / time.Second)
	}
	return b
}

// ntp is a time in the 64 bit format of RFC 3550, 4: seconds since 1900 and their fraction.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}
