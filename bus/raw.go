package bus

import (
	"bytes"
	"fmt"
)

// PublishJSON sends a value that is JSON already: for who encodes once and sends to many, or writes by hand. It does not wait. Nobody
// checks that data is JSON; a subscriber of Subscribe drops what is not.
func PublishJSON(b *Bus, s Subject, data []byte) error {
	if err := b.conn.Publish(s.String(), data); err != nil {
		return fmt.Errorf("bus: publish %s: %w", s, err)
	}
	return nil
}

// MaxPayload is the most bytes the bus takes in one message: what the server says.
func (b *Bus) MaxPayload() int { return int(b.conn.MaxPayload()) }

// SubscribeRaw is Subscribe for messages as they came, JSON or not: for who looks at what goes over the bus.
func SubscribeRaw(b *Bus, s Subject, pending int) (*Subscription[[]byte], error) {
	return subscribeAs(b, s, pending, func(data []byte, v *[]byte) error {
		*v = bytes.Clone(data)
		return nil
	})
}
