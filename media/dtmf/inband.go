package dtmf

import "math"

// In-band digits: pairs of tones, one of a row and one of a column. ITU-T Q.23, table 1.
var (
	rows    = [4]float64{697, 770, 852, 941}
	columns = [4]float64{1209, 1336, 1477, 1633}
)

// pad is the key at a row and column.
var pad = [4][4]byte{{'1', '2', '3', 'A'}, {'4', '5', '6', 'B'}, {'7', '8', '9', 'C'}, {'*', '0', '#', 'D'}}

// rate of samples, Hz.
const rate = 8000

// Tones makes the samples of digits whose packets a Sender would send. The zero value is ready.
type Tones struct {
	stamp uint32
	pos   int
	going bool
}

// Fill writes the part of a digit that p stands for: -9 dBm0 for the row, -7 for the column, which suits lines that dampen high
// frequencies more (ITU-T Q.23 allows the difference).
func (t *Tones) Fill(dst []int16, p Packet) {
	if !t.going || t.stamp != p.Timestamp {
		t.going, t.stamp, t.pos = true, p.Timestamp, 0
	}
	key, _ := Key(p.Payload.Event)
	row, column := 0.0, 0.0
	for i := range pad {
		for k := range pad[i] {
			if pad[i][k] == key {
				row, column = rows[i], columns[k]
			}
		}
	}
	const low, high = 8060, 10150
	for i := range dst {
		s := float64(t.pos) / rate
		attack := math.Min(1, s/0.002)
		dst[i] = int16(attack * (low*math.Sin(2*math.Pi*row*s) + high*math.Sin(2*math.Pi*column*s)))
		t.pos++
	}
}

// Detector hears in-band digits. The zero value is ready. It looks at blocks of 12.75 ms; a digit is one that three blocks in
// succession say, and it has ended when two do not: ITU-T Q.24 wants digits of 40 ms heard, and those of 23 ms not.
//
// Speech holds a pair of these frequencies now and then, but not that alone and not for long: a block counts when four fifths of
// all its energy is in the pair, each of the two stands out of its group, and neither is much louder than the other (twist).
type Detector struct {
	block [blockLen]float64
	fill  int
	last  byte    // what the block before said, 0: nothing
	loud  float64 // energy of the block before
	runs  int     // blocks in succession that said it
	key   byte    // of the digit that sounds
	held  int     // blocks it has sounded
	miss  int     // blocks in succession that did not say it
}

const (
	blockLen   = 102
	share      = 0.82 // of the energy in the pair
	standOut   = 6.3  // 8 dB above the others of its group
	twist      = 6.3  // 8 dB: column over row
	reverse    = 4.0  // 6 dB: row over column
	quietest   = 2.5e4
	steady     = 4.0 // 6 dB between the blocks of a digit that begins
	certain    = 3   // blocks
	over       = 2   // blocks
	blockUnits = blockLen
)

// Write listens; digits that have ended are reported, at most one for every 50 ms.
func (d *Detector) Write(pcm []int16, report func(Digit)) {
	for _, v := range pcm {
		d.block[d.fill] = float64(v)
		if d.fill++; d.fill == blockLen {
			d.fill = 0
			d.say(d.judge(), report)
		}
	}
}

// say takes what one block says.
func (d *Detector) say(key byte, report func(Digit)) {
	if key != 0 && key == d.last {
		d.runs++
	} else {
		d.last, d.runs = key, 1
	}
	if d.key != 0 {
		if d.held++; key == d.key {
			d.miss = 0
			return
		}
		if d.miss++; d.miss < over {
			return
		}
		report(Digit{d.key, uint16(min((d.held-d.miss+certain)*blockUnits, math.MaxUint16))})
		d.key = 0
	}
	if key != 0 && d.runs >= certain {
		d.key, d.held, d.miss = key, 0, 0
	}
}

// Sounding says whether a digit sounds now.
func (d *Detector) Sounding() bool { return d.key != 0 }

// judge is the key a block says, 0 for none.
func (d *Detector) judge() byte {
	energy, before := 0.0, d.loud
	for _, v := range d.block {
		energy += v * v
	}
	d.loud = energy
	if energy < quietest*blockLen {
		return 0
	}
	if d.key == 0 && d.runs > 0 && d.last != 0 && (energy > steady*before || before > steady*energy) {
		return 0 // it swells or fades
	}
	row, r, rowOK := d.strongest(rows)
	column, c, columnOK := d.strongest(columns)
	// A tone alone that fills the block has the energy of its power times half the length.
	if !rowOK || !columnOK || (row+column)*2/blockLen < share*energy || column > twist*row || row > reverse*column {
		return 0
	}
	return pad[r][c]
}

// strongest is the power of the loudest of a group, and whether it stands out.
func (d *Detector) strongest(group [4]float64) (power float64, at int, ok bool) {
	var p [4]float64
	for i, hz := range group {
		if p[i] = d.power(hz); p[i] > p[at] {
			at = i
		}
	}
	for i := range p {
		if i != at && p[at] < standOut*p[i] {
			return p[at], at, false
		}
	}
	return p[at], at, true
}

// power is that of one frequency in the block (Goertzel).
func (d *Detector) power(hz float64) float64 {
	k := 2 * math.Cos(2*math.Pi*hz/rate)
	var s1, s2 float64
	for _, v := range d.block {
		s1, s2 = v+k*s1-s2, s1
	}
	return s1*s1 + s2*s2 - k*s1*s2
}
