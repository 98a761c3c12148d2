// Package callstat reads what phones say of a call's media when it ends: header fields of BYE and of the answer to it, which no
// RFC describes and many phones send. Two families are known:
//
//	RTP-RxStat: Dur=62,Pkt=3099,Oct=495840,LatePkt=0,LostPkt=2,AvgJit=3,VQMetrics="MLQK=4.5000;MLQKav=4.4980;..."
//	RTP-TxStat: Dur=62,Pkt=3101,Oct=496160
//	X-RTP-Stat: CS=0;PS=3101;ES=3101;OS=496160;...;PR=3099;ER=3101;OR=495840;...;PL=2,0;...;EN=PCMU;DE=PCMU;JI=3,0
//
// The first two are of Cisco's phones (their SIP phone administration guides list the fields), the third of AVM's, snom's and
// baresip. Lists of fields vary by model and release, so everything is optional: what is not understood is passed over.
package callstat

import (
	"math"
	"strconv"
	"strings"
)

// Names of the header fields.
const (
	RxStat  = "RTP-RxStat"
	TxStat  = "RTP-TxStat"
	RTPStat = "X-RTP-Stat"
)

// Report is what one end says of its call. What it did not say is zero.
type Report struct {
	Sent, Received             uint64  // packets
	SentOctets, ReceivedOctets uint64  // of payload
	Lost                       uint64  // packets it should have received and did not
	Late                       uint64  // packets that came too late to be played
	Jitter                     float64 // milliseconds
	Seconds                    int     // of media received
	Codec                      string  // what it decoded
	MOS                        float64 // 1 to 5, as the phone estimates it
}

// MaxLength bounds what is read of one value, octets; phones send a few hundred.
const MaxLength = 4096

// Parse reads the values of the three header fields, "" where there is none; ok says that anything of use was in them. It is
// total.
func Parse(rx, tx, stat string) (r Report, ok bool) {
	for _, x := range []struct {
		text string
		sep  byte
		set  func(*Report, string, string) bool
	}{{rx, ',', (*Report).received}, {tx, ',', (*Report).sent}, {stat, ';', (*Report).both}} {
		for name, value := range fields(x.text, x.sep) {
			ok = x.set(&r, strings.ToUpper(name), value) || ok
		}
	}
	return r, ok
}

// fields gives the name=value pairs of a list; a value in quotation marks may hold the separator.
func fields(s string, sep byte) func(func(string, string) bool) {
	s = s[:min(len(s), MaxLength)]
	return func(yield func(string, string) bool) {
		for len(s) > 0 {
			end, quoted := 0, false
			for ; end < len(s) && (quoted || s[end] != sep); end++ {
				quoted = quoted != (s[end] == '"')
			}
			name, value, found := strings.Cut(s[:end], "=")
			if found && !yield(strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)) {
				return
			}
			s = s[min(end+1, len(s)):]
		}
	}
}

func (r *Report) received(name, value string) bool {
	switch name {
	case "DUR":
		return seconds(&r.Seconds, value)
	case "PKT":
		return count(&r.Received, value)
	case "OCT":
		return count(&r.ReceivedOctets, value)
	case "LATEPKT":
		return count(&r.Late, value)
	case "LOSTPKT":
		return count(&r.Lost, value)
	case "AVGJIT":
		return number(&r.Jitter, value, 60_000)
	case "VQMETRICS":
		for name, value := range fields(value, ';') {
			// The opinion score of what is heard: of the last seconds, and the average, which is the better one to have.
			if name == "MLQKav" || name == "MLQK" && r.MOS == 0 {
				opinion(&r.MOS, value)
			}
		}
	}
	return false
}

func (r *Report) sent(name, value string) bool {
	switch name {
	case "PKT":
		return count(&r.Sent, value)
	case "OCT":
		return count(&r.SentOctets, value)
	}
	return false
}

func (r *Report) both(name, value string) bool {
	first, _, _ := strings.Cut(value, ",") // where there are two, the first is what it received
	switch name {
	case "PS":
		return count(&r.Sent, value)
	case "OS":
		return count(&r.SentOctets, value)
	case "PR":
		return count(&r.Received, value)
	case "OR":
		return count(&r.ReceivedOctets, value)
	case "PL":
		return count(&r.Lost, first)
	case "JI":
		return number(&r.Jitter, first, 60_000)
	case "CD":
		return seconds(&r.Seconds, value)
	case "DE":
		r.Codec = codec(value)
		return r.Codec != ""
	}
	return false
}

// codec is the name of an encoding: letters, digits and "-", as in SDP. What follows a "/" is its rate.
func codec(s string) string {
	s, _, _ = strings.Cut(s, "/")
	if len(s) > 32 || strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.')
	}) {
		return ""
	}
	return s
}

func count(n *uint64, s string) bool {
	v, err := strconv.ParseUint(s, 10, 48)
	if err == nil {
		*n = v
	}
	return err == nil
}

func seconds(n *int, s string) bool {
	var v uint64
	if !count(&v, s) || v > math.MaxInt32 {
		return false
	}
	*n = int(v)
	return true
}

func number(f *float64, s string, most float64) bool {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= most) {
		return false
	}
	*f = v
	return true
}

// opinion takes a mean opinion score, which is 1 to 5; zero says that there is none.
func opinion(f *float64, s string) {
	var v float64
	if number(&v, s, 5) && v >= 1 {
		*f = v
	}
}
