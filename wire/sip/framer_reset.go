package sip

// Reset forgets the stream and keeps the buffer, so that idle connections can share a few Framers.
func (f *Framer) Reset() {
	*f = Framer{Limits: f.Limits, buf: f.buf[:0]}
}
