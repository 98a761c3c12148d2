package trace

import "bytes"

// blockSize is the size of a memory block; a line fits but for large records of the engine, which get a block of their
// own size (see the bounds in encode.go: a body of 32 KiB whose every byte needs a six-byte escape is 192 KiB).
const blockSize = 256 << 10

// block is one piece of the ring. Bytes below len(data) never change again.
type block struct {
	data  []byte
	lines int
	first uint64 // sequence number of the first line
	disk  int    // bytes the disk has
	seen  int    // lines the disk has, whole
	busy  bool   // the disk goroutine is writing a part of it
	gone  bool   // it left the ring meanwhile
	lent  bool   // somebody outside may look at its bytes: they are not written over
}

// unwritten returns the number of lines the disk does not have.
func (b *block) unwritten() uint64 { return uint64(b.lines - b.seen) }

// ring is a queue of blocks with a bound on their size. The block with number first is blocks[0].
type ring struct {
	limit  int // bytes of all blocks
	bytes  int
	blocks []*block
	first  uint64 // number of blocks[0]; numbers are never reused
	spare  []byte // the memory of a block that has gone, for the next
}

// place says where a line is.
type place struct {
	block  uint64
	off, n uint32
}

// begin returns the free end of the last block with room for need bytes. When the ring is full, evict is told of the
// oldest blocks, and they go. The memory of one that nobody holds a part of, reader or disk, is used again.
func (g *ring) begin(need int, evict func(*block)) []byte {
	if n := len(g.blocks); n > 0 {
		if b := g.blocks[n-1]; len(b.data)+need <= cap(b.data) {
			return b.data[len(b.data):len(b.data)]
		}
	}
	size := max(blockSize, need)
	for len(g.blocks) > 0 && g.bytes+size > g.limit {
		old := g.blocks[0]
		evict(old)
		g.bytes -= cap(old.data)
		if !old.lent && !old.busy && cap(old.data) == blockSize {
			g.spare = old.data[:0]
		}
		g.blocks[0] = nil
		g.blocks = g.blocks[1:]
		g.first++
	}
	b := &block{}
	if b.data = g.spare; b.data == nil || size != blockSize {
		b.data = make([]byte, 0, size)
	} else {
		g.spare = nil
	}
	g.bytes += size
	g.blocks = append(g.blocks, b)
	return b.data
}

// commit makes the line that was built on begin's slice part of the block.
func (g *ring) commit(line []byte, seq uint64) place {
	b := g.blocks[len(g.blocks)-1]
	if b.lines == 0 {
		b.first = seq
	}
	at := place{g.first + uint64(len(g.blocks)-1), uint32(len(b.data)), uint32(len(line))}
	b.data = b.data[:len(b.data)+len(line)]
	b.lines++
	return at
}

// line returns the bytes of a line, or nil when its block is gone.
func (g *ring) line(at ref) []byte {
	if at.block < g.first || at.block >= g.first+uint64(len(g.blocks)) {
		return nil
	}
	b := g.blocks[at.block-g.first]
	b.lent = true
	return b.data[at.off : at.off+at.n]
}

// span is a range of one block that the disk has not seen.
type span struct {
	block    *block
	bytes    []byte
	firstSeq uint64
}

// nextUnwritten returns the oldest range the disk does not have.
func (g *ring) nextUnwritten() (span, bool) {
	for _, b := range g.blocks {
		if b.disk < len(b.data) {
			b.busy = true // the disk has it until written
			return span{b, b.data[b.disk:len(b.data):len(b.data)], b.first}, true
		}
	}
	return span{}, false
}

// written notes that n bytes of the span are on the disk. It returns the number of lines that are lost to the disk for
// good, because their block left the ring while they were being written.
func (g *ring) written(s span, n int) (lost uint64) {
	b := s.block
	b.busy = false
	b.disk += n
	b.seen += bytes.Count(s.bytes[:n], []byte("\n"))
	if b.gone {
		return b.unwritten()
	}
	return 0
}
