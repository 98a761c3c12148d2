package phone

import (
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sdp"
)

// makeOffer and makeAnswer are the stream's descriptions, or what a phone that misbehaves makes of them: the description says one
// thing, the stream does another.
func (c *Call) makeOffer() ([]byte, error) { return c.lie(c.stream.Offer()) }

func (c *Call) makeAnswer(offer []byte) ([]byte, error) { return c.lie(c.stream.Answer(offer)) }

func (c *Call) lie(text []byte, err error) ([]byte, error) {
	bad := c.p.cfg.Misbehave
	if err != nil || !bad.WrongKey && !bad.PlainMedia && !bad.Mute {
		return text, err
	}
	d, err := sdp.Parse(text)
	if err != nil {
		return nil, err
	}
	for i := range d.Media {
		m := &d.Media[i]
		if !bad.WrongKey {
			m.Direction = sdp.SendRecv // the stream itself sends nothing
			continue
		}
		for k := range m.Crypto {
			if m.Crypto[k].Key, err = (media.CryptoKeys{}).Key(m.Crypto[k].Suite); err != nil {
				return nil, err
			}
		}
	}
	return d.Bytes(), nil
}
