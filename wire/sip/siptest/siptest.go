// Package siptest holds what tests of every layer share: the torture messages of RFC 4475 and RFC 5118 with the answer each
// of them deserves.
//
// The messages themselves are not part of the repository; Shared finds them beside it.
package siptest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Verdict is what becomes of a message between the wire and the core; one that is answered there is its status, "400".
// Over a stream there may be several, separated by spaces.
type Verdict string

const (
	Accepted Verdict = "accepted" // handed to the core
	Silent   Verdict = "silent"   // dropped without an answer
	Waits    Verdict = "waits"    // on a stream: the rest of the message is awaited
	Closes   Verdict = "closes"   // on a stream: the connection is closed, after the answer if there is one
)

// A Message is one of the torture messages. Stream is empty where it is the same as Datagram. Forward is the answer of
// an element that would pass the request on.
type Message struct {
	File, Section    string
	Datagram, Stream Verdict
	Forward          Verdict
	Why              string
}

// OverStream is the verdict over a stream.
func (m Message) OverStream() Verdict {
	if m.Stream == "" {
		return m.Datagram
	}
	return m.Stream
}

// Torture is RFC 4475 and RFC 5118 in one table: what a user agent server answers, over datagrams and over a stream.
func Torture() []Message { return torture }

// Shared is the folder of test vectors: LOCKTONE_SHARED, else shared beside the repository.
func Shared() string {
	if dir := os.Getenv("LOCKTONE_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd() // of a test: its package's folder
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared")
		}
		dir = filepath.Dir(dir)
	}
	return "shared"
}

// Read returns the message; the test is skipped, and says so, where the vectors are not there.
func (m Message) Read(t testing.TB) []byte {
	t.Helper()
	return ReadFile(t, m.File)
}

// ReadFile reads a message by the name of its file.
func ReadFile(t testing.TB, name string) []byte {
	t.Helper()
	dir := "rfc4475"
	if strings.HasPrefix(name, "4.") {
		dir = "rfc5118"
	}
	data, err := os.ReadFile(filepath.Join(Shared(), "vectors", "sip-torture", dir, name+".dat"))
	if err != nil {
		t.Skipf("could not run without the RFC 4475 and RFC 5118 messages: %v; set LOCKTONE_SHARED", err)
	}
	return data
}
