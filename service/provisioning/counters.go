package provisioning

import "sync/atomic"

// counters count requests by protocol, class and result.
type counters struct {
	n     [overHTTPS + 1][ClassStatic + 1][broken + 1]atomic.Uint64
	bytes [overHTTPS + 1]atomic.Uint64
}

func (c *counters) add(p protocol, class Class, r result, bytes int64) {
	c.n[p][class][r].Add(1)
	c.bytes[p].Add(uint64(max(bytes, 0)))
}

// each tells of every count that is not zero.
func (c *counters) each(f func(protocol, Class, result, uint64)) {
	for p := range c.n {
		for class := range c.n[p] {
			for r := range c.n[p][class] {
				if n := c.n[p][class][r].Load(); n > 0 {
					f(protocol(p), Class(class), result(r), n)
				}
			}
		}
	}
}
