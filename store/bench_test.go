package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkAppendLegs is what records of legs cost in SQLite, for a leg: a second's worth of them at 300 and at 30 calls/s,
// and what is written at once, 200 ms of them, at 300 calls/s.
func BenchmarkAppendLegs(b *testing.B) {
	for _, n := range []int{600, 120, 60} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
			legs := make([]LegRecord, n)
			for i := range legs {
				legs[i] = LegRecord{Call: fmt.Sprintf("0a1b2c3d%08x@node1", i), Node: "node1", Party: int64(i), Leg: int64(2 * i), Device: "SEP001122334455", Direction: "in",
					Line: "2001", Partition: "phones", Calling: "2001", Called: "2002", Dialled: "2002", Connected: "2002", Setup: at, Alert: at, Answer: at, End: at,
					Outcome: "answered", Cause: 16, CauseName: "normal-clearing", ReleasedBy: "leg", Signalling: "mutual", Cipher: "TLS 1.3 TLS_AES_128_GCM_SHA256",
					Media: "srtp", Suite: "AES_CM_128_HMAC_SHA1_80", Lock: "encrypted", Proof: "none", Path: "direct", Codec: "PCMU"}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.AppendLegs(b.Context(), legs...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/leg")
		})
	}
}
