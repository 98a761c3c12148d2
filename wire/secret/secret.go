// Package secret is the type in which codecs hand on what must not be printed: passwords, authorization strings, hashes as
// good as either. However a value is formatted, logged or encoded, "[redacted]" is all that appears.
package secret

import "log/slog"

// Text is a secret text. Reveal is the only way to its octets.
type Text struct{ text string }

// Redacted is what appears in place of a secret.
const Redacted = "[redacted]"

// New wraps a secret.
func New(text string) Text { return Text{text} }

// Reveal is the secret itself, for computing with it.
func (t Text) Reveal() string { return t.text }

// IsZero says whether there is no secret, or an empty one.
func (t Text) IsZero() bool { return t.text == "" }

// String hides the secret.
func (Text) String() string { return Redacted }

// GoString hides the secret from %#v.
func (Text) GoString() string { return Redacted }

// MarshalText hides the secret from encoders: JSON, YAML, XML.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue hides the secret from slog.
func (Text) LogValue() slog.Value { return slog.StringValue(Redacted) }
