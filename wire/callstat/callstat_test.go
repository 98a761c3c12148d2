package callstat

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, x := range []struct {
		name         string
		rx, tx, stat string
		want         Report
		ok           bool
	}{
		{"nothing", "", "", "", Report{}, false},
		{"Cisco",
			`Dur=62,Pkt=3099,Oct=495840,LatePkt=1,LostPkt=2,AvgJit=3,VQMetrics="MLQK=4.5000;MLQKav=4.4980;MLQKmn=3.9690;CCR=0.0009;ICR=0.0000"`,
			`Dur=62,Pkt=3101,Oct=496160`, "",
			Report{Sent: 3101, Received: 3099, SentOctets: 496160, ReceivedOctets: 495840, Lost: 2, Late: 1, Jitter: 3, Seconds: 62, MOS: 4.498}, true},
		{"Cisco before the first score", `Dur=1,Pkt=60,Oct=9600,LatePkt=0,LostPkt=0,AvgJit=0,VQMetrics="MLQK=0.0000;MLQKav=0.0000"`, "", "",
			Report{Received: 60, ReceivedOctets: 9600, Seconds: 1}, true},
		{"AVM", "", "", "CS=0;PS=1268;ES=1270;OS=202880;SP=0/0;SO=0;QS=-;PR=1267;ER=1268;OR=202720;CR=0;SR=0;QR=-;PL=1,0;BL=0;LS=0;RB=0/0;SB=-/-;EN=PCMA;DE=PCMU;JI=17,1;DL=2,3,4",
			Report{Sent: 1268, Received: 1267, SentOctets: 202880, ReceivedOctets: 202720, Lost: 1, Jitter: 17, Codec: "PCMU"}, true},
		{"baresip", "", "", "EX=BareSip;CS=120;CD=31;PR=1551;PS=1554;PL=0,0;PD=0,0;JI=1.5,0.0;IP=192.0.2.1:4000,192.0.2.2:4000;EN=G722/16000;DE=G722/16000",
			Report{Sent: 1554, Received: 1551, Jitter: 1.5, Seconds: 31, Codec: "G722"}, true},
		{"rubbish", "Pkt,=,Pkt=-1,Oct=99999999999999999999,AvgJit=NaN,Dur=1e9,=5,LostPkt=x", `Pkt="`, "PL=,;JI=;DE=\x00;PS", Report{}, false},
		{"partly rubbish", "Pkt=12,LostPkt=many", "", "", Report{Received: 12}, true},
	} {
		if got, ok := Parse(x.rx, x.tx, x.stat); got != x.want || ok != x.ok {
			t.Errorf("%s: %+v %v", x.name, got, ok)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	if r, _ := Parse(strings.Repeat("x=1,", MaxLength)+"Pkt=5", "", ""); r.Received != 0 {
		t.Error("read beyond the bound")
	}
}

// FuzzParse: any text is read in bounded time, and what comes of it is within bounds.
func FuzzParse(f *testing.F) {
	f.Add(`Dur=62,Pkt=3099,VQMetrics="MLQK=4.5;MLQKav=4.4"`, "Pkt=3", "PS=1;PL=2,0;JI=1.5,1;DE=PCMU")
	f.Add(`a="b,c=d`, `"`, ";=;")
	f.Fuzz(func(t *testing.T, rx, tx, stat string) {
		r, ok := Parse(rx, tx, stat)
		if !ok && (r.Received != 0 || r.Sent != 0 || r.Lost != 0 || r.Codec != "") {
			t.Errorf("nothing of use, but %+v", r)
		}
		if !(r.Jitter >= 0 && r.Jitter <= 60_000) || r.MOS != 0 && !(r.MOS >= 1 && r.MOS <= 5) || r.Seconds < 0 || len(r.Codec) > 32 {
			t.Errorf("%+v", r)
		}
	})
}
