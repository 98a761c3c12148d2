package g722

import "math"

// filter is one half of the 24 coefficients of the quadrature mirror filter, times 8,192; the other half is its mirror. G.722,
// table 11.
var filter = [12]int32{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}

// decisions are the decision levels of the lower quantizer, times 512 of the scale. G.722, table 14.
var decisions = [30]int32{0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
	1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919}

// outputs6 are the magnitudes of the lower band's 60 levels, smallest first. G.722, table 18.
var outputs6 = [30]int32{136, 432, 728, 1040, 1360, 1688, 2032, 2400, 2776, 3168, 3576, 4008, 4464, 4944, 5456, 6000, 6576,
	7192, 7856, 8576, 9360, 10232, 11192, 12280, 13512, 14984, 16704, 19008, 21904, 24808}

// outputs4 are those of the 15 levels that are left without the two lowest bits; weights4 is by how much each moves the
// logarithm of the scale. G.722, tables 16 and 17.
var (
	outputs4 = [8]int32{0, 1200, 2584, 4240, 6288, 8968, 12896, 20456}
	weights4 = [8]int32{-60, -30, 58, 172, 334, 538, 1198, 3042}
)

// Tables by code, made of those above.
var (
	inverse6 = invert6()
	inverse4 = invert4()
	lowerLog = logs4()
	powers   = exponentials()
	// inverse2 and upperLog: G.722, tables 19 and 20.
	inverse2 = [4]int32{-7408, -1616, 7408, 1616}
	upperLog = [4]int32{798, -214, 798, -214}
)

// invert6: codes 61 down to 32 are positive, smallest first; of the negative, 63 and 62 are the smallest, and then 31 down
// to 4. Codes 0 to 3 are never sent and stand for the smallest.
func invert6() (t [64]int32) {
	for i, v := range outputs6 {
		t[61-i] = v
		if i < 2 {
			t[63-i] = -v
		} else {
			t[33-i] = -v
		}
	}
	for i := range 4 {
		t[i] = -outputs6[0]
	}
	return t
}

// magnitude4 is the index into outputs4 of a code of four bits, and its sign.
func magnitude4(code int32) (i int32, negative bool) {
	switch {
	case code == 0 || code == 15:
		return 0, false
	case code < 8:
		return 8 - code, true
	}
	return 15 - code, false
}

func invert4() (t [16]int32) {
	for code := range t {
		i, negative := magnitude4(int32(code))
		t[code] = outputs4[i]
		if negative {
			t[code] = -t[code]
		}
	}
	return t
}

func logs4() (t [16]int32) {
	for code := range t {
		i, _ := magnitude4(int32(code))
		t[code] = weights4[i]
	}
	return t
}

// exponentials is 2,048 times 2 to the power of i/32. G.722, table 15.
func exponentials() (t [32]int32) {
	for i := range t {
		t[i] = int32(math.Round(2048 * math.Exp2(float64(i)/32)))
	}
	return t
}
