package g711

import "testing"

// TestDecoderValues: ITU-T G.711, tables 1a to 2b: the decision values at the ends and in the middle, scaled to 16 bit.
func TestDecoderValues(t *testing.T) {
	for _, x := range []struct {
		law  Law
		code byte
		want int16
	}{
		{ULaw, 0xff, 0}, {ULaw, 0x7f, 0}, {ULaw, 0x00, -32124}, {ULaw, 0x80, 32124}, {ULaw, 0xfe, 8}, {ULaw, 0xf0, 120}, {ULaw, 0xef, 132},
		{ALaw, 0xd5, 8}, {ALaw, 0x55, -8}, {ALaw, 0xaa, 32256}, {ALaw, 0x2a, -32256}, {ALaw, 0xd4, 24}, {ALaw, 0xc5, 264},
	} {
		var got [1]int16
		x.law.Decode(got[:], []byte{x.code})
		if got[0] != x.want {
			t.Errorf("law %d code %#x: %d, want %d", x.law, x.code, got[0], x.want)
		}
	}
}

// TestEveryCodeSurvives: what a code decodes to encodes to the same code (but for mu-law's two zeros).
func TestEveryCodeSurvives(t *testing.T) {
	for _, law := range []Law{ULaw, ALaw} {
		for c := range 256 {
			var pcm [1]int16
			var code [1]byte
			law.Decode(pcm[:], []byte{byte(c)})
			law.Encode(code[:], pcm[:])
			if code[0] != byte(c) && !(law == ULaw && c == 0x7f && code[0] == 0xff) {
				t.Errorf("law %d: %#x becomes %d becomes %#x", law, c, pcm[0], code[0])
			}
		}
	}
}

// TestQuantisation: the error of any sample is at most half a step of its segment, and the order of samples is kept.
func TestQuantisation(t *testing.T) {
	for _, law := range []Law{ULaw, ALaw} {
		last := int16(-32768)
		for v := -32768; v < 32768; v++ {
			var code [1]byte
			var back [1]int16
			law.Encode(code[:], []int16{int16(v)})
			law.Decode(back[:], code[:])
			mag, diff := max(v, -v), max(v-int(back[0]), int(back[0])-v)
			if diff > max(mag/16, 12) {
				t.Fatalf("law %d: %d becomes %d", law, v, back[0])
			}
			if back[0] < last {
				t.Fatalf("law %d: not monotonous at %d: %d after %d", law, v, back[0], last)
			}
			last = back[0]
		}
	}
}
