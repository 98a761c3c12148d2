package trustlist

import (
	"io"
	"time"
)

// TextOptions for Text and WriteText.
type TextOptions struct {
	Modified time.Time // when the file was last changed; zero: the time in the header
}

// WriteText prints the list as `show ctl` and `show itl` print it.
func (l *List) WriteText(w io.Writer, o TextOptions) error { panic("soon") }

// Text is what WriteText writes.
func (l *List) Text(o TextOptions) string { panic("soon") }
