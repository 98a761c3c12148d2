package ctileg

import (
	"slices"

	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

// A payload is a codec that CTIQBE has a code for, as descriptions name it.
type payload struct {
	code  ctiqbe.MediaPayload
	codec sdp.Codec
}

// payloads are all of them. The 56 kbit/s forms of G.711 and G.722 are no codecs of RTP.
func payloads() []payload {
	return []payload{
		{ctiqbe.MediaPayloadG711MuLaw64K, sdp.Codec{PT: 0, Name: "PCMU", Rate: 8000}},
		{ctiqbe.MediaPayloadG711ALaw64K, sdp.Codec{PT: 8, Name: "PCMA", Rate: 8000}},
		{ctiqbe.MediaPayloadG72264K, sdp.Codec{PT: 9, Name: "G722", Rate: 8000}},
		{ctiqbe.MediaPayloadG729AnnexA, sdp.Codec{PT: 18, Name: "G729", Rate: 8000}},
		{ctiqbe.MediaPayloadG729, sdp.Codec{PT: 18, Name: "G729", Rate: 8000}},
		{ctiqbe.MediaPayloadG7231, sdp.Codec{PT: 4, Name: "G723", Rate: 8000}},
		{ctiqbe.MediaPayloadG728, sdp.Codec{PT: 15, Name: "G728", Rate: 8000}},
		{ctiqbe.MediaPayloadGSM, sdp.Codec{PT: 3, Name: "GSM", Rate: 8000}},
		{ctiqbe.MediaPayloadWideband256K, sdp.Codec{PT: 96, Name: "L16", Rate: 16000}},
		{ctiqbe.MediaPayloadISAC, sdp.Codec{PT: 97, Name: "iSAC", Rate: 16000}},
	}
}

// CodecOf is the codec of a payload code; false for one that cannot be described.
func CodecOf(code ctiqbe.MediaPayload) (sdp.Codec, bool) {
	for _, p := range payloads() {
		if p.code == code {
			return p.codec, true
		}
	}
	return sdp.Codec{}, false
}

// PayloadOf is the payload code of a codec by its encoding name and clock rate, zero where there is none. G.729 is told as annex A, which is
// what every endpoint of today does.
func PayloadOf(name string, rate int) ctiqbe.MediaPayload {
	for _, p := range payloads() {
		if p.codec.SameAs(sdp.Codec{Name: name, Rate: rate}) {
			return p.code
		}
	}
	return 0
}

// SuiteOf is the crypto suite of an SRTP algorithm; false for F8, which is not offered (RFC 3711, 4.1.2: it has no suite in SDES).
func SuiteOf(id ctiqbe.MediaEncryption) (sdp.Suite, bool) {
	for _, s := range sdp.Suites() {
		if AlgorithmOf(s) == id && id != 0 {
			return s, true
		}
	}
	return sdp.NoSuite, false
}

// AlgorithmOf is the SRTP algorithm of a crypto suite, zero for none.
func AlgorithmOf(s sdp.Suite) ctiqbe.MediaEncryption {
	switch s {
	case sdp.AES_CM_128_HMAC_SHA1_32:
		return ctiqbe.MediaEncryptionAES128Counter
	case sdp.AES_CM_128_HMAC_SHA1_80:
		return ctiqbe.MediaEncryptionAES128Counter80
	case sdp.AEAD_AES_128_GCM:
		return ctiqbe.MediaEncryptionAEAD128Counter
	case sdp.AEAD_AES_256_GCM:
		return ctiqbe.MediaEncryptionAEAD256Counter
	}
	return 0
}

// A Codec is one that a terminal can do.
type Codec struct {
	Payload ctiqbe.MediaPayload
	// Packet is how much speech a packet may carry, milliseconds; zero is 20.
	Packet int
}

// codecs are those that can be described, in the terminal's order.
func (t *Terminal) codecs() (out []sdp.Codec) {
	for _, c := range t.Codecs {
		if d, ok := CodecOf(c.Payload); ok && !slices.ContainsFunc(out, d.SameAs) {
			out = append(out, d)
		}
	}
	return out
}
