package bus

import (
	"fmt"

	"github.com/locktone/locktone/bus/board"
	"github.com/nats-io/nats.go"
)

// The board's subjects: what a node says to all stands under its own name, what is meant for one under that one's.
const (
	boardService = "board"
	verbSay      = "say"
	verbHear     = "hear"
)

// openBoard starts the board on the connection.
func (b *Bus) openBoard(c Config) error {
	b.board = newBoard(board.Config{Self: c.Node, Process: process(), Beat: c.Beat, Lease: c.Lease, Hold: c.Hold}, b.carryBoard)
	b.board.up = b.conn.IsConnected
	hear := func(m *nats.Msg) {
		select {
		case b.board.heard <- m.Data:
		case <-b.board.stop:
		}
	}
	for _, s := range []Subject{b.AllNodes(boardService, verbSay), b.Subject(boardService, verbHear)} {
		sub, err := b.conn.Subscribe(s.String(), hear)
		if err == nil {
			err = sub.SetPendingLimits(maxHeard, 256<<20)
		}
		if err != nil {
			close(b.board.ended)
			return fmt.Errorf("bus: subscribe %s: %w", s, err)
		}
	}
	go b.board.run()
	return nil
}

// carryBoard sends one message of the board. Without a connection nothing is kept for later: it would be old by then.
func (b *Bus) carryBoard(to string, data []byte) error {
	s := b.Subject(boardService, verbSay)
	if to != "" {
		s = b.Subject(boardService, verbHear).To(to)
	}
	return b.conn.Publish(s.String(), data)
}
