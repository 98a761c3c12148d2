package bus

import (
	"fmt"
	"strings"
)

// Subject names what a message is about: locktone.<cluster>.<node>.<service>.<verb...>.
type Subject struct {
	Cluster, Node, Service string
	Verb                   string // may hold several tokens divided by dots; a last ">" stands for the rest
}

// Any stands for every node or service in a Subject.
const Any = "*"

const subjectRoot = "locktone"

// String is the subject on the wire.
func (s Subject) String() string {
	return strings.Join([]string{subjectRoot, part(s.Cluster), part(s.Node), part(s.Service), s.Verb}, ".")
}

func part(s string) string {
	if s == Any {
		return s
	}
	return Token(s)
}

// To is the subject of one node in place of s.Node.
func (s Subject) To(node string) Subject {
	s.Node = node
	return s
}

// Token makes one subject token of any name: bytes that NATS gives a meaning
// (dot, blank, wildcards), control bytes and "=" become =XX in hexadecimal. The
// empty name becomes "=".
func Token(name string) string {
	if name == "" {
		return "="
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(".*>=", c) >= 0 {
			fmt.Fprintf(&b, "=%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ParseToken is the reverse of Token.
func ParseToken(token string) (string, error) {
	if token == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		var c byte
		if i+3 > len(token) {
			return "", fmt.Errorf("bus: token %q: escape at %d cut short", token, i)
		}
		if _, err := fmt.Sscanf(token[i+1:i+3], "%02X", &c); err != nil {
			return "", fmt.Errorf("bus: token %q: escape at %d is not hexadecimal", token, i)
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}

// ParseSubject reads a subject from the wire.
func ParseSubject(s string) (Subject, error) {
	t := strings.SplitN(s, ".", 5)
	if len(t) != 5 || t[0] != subjectRoot || t[4] == "" {
		return Subject{}, fmt.Errorf("bus: subject %q: want %s.<cluster>.<node>.<service>.<verb>", s, subjectRoot)
	}
	var out Subject
	for i, dst := range []*string{&out.Cluster, &out.Node, &out.Service} {
		if t[i+1] == Any {
			*dst = Any
			continue
		}
		name, err := ParseToken(t[i+1])
		if err != nil {
			return Subject{}, err
		}
		*dst = name
	}
	out.Verb = t[4]
	return out, nil
}
