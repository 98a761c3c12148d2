package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// The measurement below has the relay in a process of its own, so that its CPU time can be told from the generator's:
// this test binary again, told by the environment to be the relay.
const relayEnv = "LOCKTONE_RELAY_BENCH"

func fixedKey(n byte, s sdp.Suite) sdp.Crypto {
	if s == sdp.NoSuite {
		return sdp.Crypto{}
	}
	k, err := sdp.NewKey(s, bytes.Repeat([]byte{n}, s.KeyLen()+s.SaltLen()))
	if err != nil {
		panic(err)
	}
	return sdp.Crypto{Tag: 1, Suite: s, Key: k}
}

// TestRelayProcess is the relay's process; run as a test of its own it does nothing.
func TestRelayProcess(t *testing.T) {
	how := strings.Fields(os.Getenv(relayEnv)) // suite a, suite b, then pairs of peers' ports
	if len(how) == 0 {
		return
	}
	if how[0] == bare {
		bareRelay(t, how[2:])
		return
	}
	e, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := rtpport.New(20000, 23999)
	for i := 2; i+1 < len(how); i += 2 {
		var ends [2]*Port
		for k := range ends {
			if ends[k], err = e.Open(loopback, r, Signalled); err != nil {
				t.Fatal(err)
			}
			n, _ := strconv.Atoi(how[i+k])
			suite, _ := sdp.ParseSuite(how[k])
			to := netip.AddrPortFrom(loopback, uint16(n))
			if err := ends[k].Set(time.Now(), Side{Remote: to, RemoteRTCP: to, Rx: fixedKey(byte(1+2*k), suite), Tx: fixedKey(byte(2+2*k), suite)}); err != nil {
				t.Fatal(err)
			}
		}
		Connect(ends[0], ends[1])
		fmt.Printf("pair %d %d\n", ends[0].Number(), ends[1].Number())
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the generator is done
	_ = e.Close()
}

// bare names the relay to compare with.
const bare = "bare"

// bareRelay is the usual way to write a relay in Go, without any check: a goroutine per socket. On the machines measured it
// costs about what rtpengine costs in user space, so it stands in for it where rtpengine cannot be had.
func bareRelay(t *testing.T, ports []string) {
	for i := 0; i+1 < len(ports); i += 2 {
		a, b := listenUDP(t), listenUDP(t)
		for k, c := range []*net.UDPConn{a, b} {
			other := []*net.UDPConn{b, a}[k]
			n, _ := strconv.Atoi(ports[i+1-k])
			to := netip.AddrPortFrom(loopback, uint16(n))
			go func() {
				var buf [1500]byte
				for {
					n, _, err := c.ReadFromUDPAddrPort(buf[:])
					if err != nil {
						return
					}
					_, _ = other.WriteToUDPAddrPort(buf[:n], to)
				}
			}()
		}
		fmt.Printf("pair %d %d\n", local(a).Port(), local(b).Port())
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// BenchmarkLoopback relays 100 calls of 50 packets a second each way over loopback and reports the CPU time of the relay's
// process per packet, and the loss. Run it with -benchtime 3x or so: an iteration is a second of traffic.
func BenchmarkLoopback(b *testing.B) {
	cm, gcm := sdp.AES_CM_128_HMAC_SHA1_80, sdp.AEAD_AES_128_GCM
	for _, x := range []struct {
		name   string
		sa, sb sdp.Suite
	}{{"RTP-RTP", 0, 0}, {"SRTP-RTP", cm, 0}, {"SRTP-SRTP", cm, cm}, {"GCM-RTP", gcm, 0}, {"GCM-GCM", gcm, gcm}} {
		b.Run(x.name, func(b *testing.B) { loopbackRun(b, name(x.sa), x.sa, x.sb) })
	}
	b.Run("bare-goroutines", func(b *testing.B) { loopbackRun(b, bare, 0, 0) })
}

type generator struct {
	conn *net.UDPConn
	to   netip.AddrPort
	tx   *srtp.Sender
	buf  []byte
}

func loopbackRun(b *testing.B, kind string, sa, sb sdp.Suite) {
	const calls = 100
	var ends [calls][2]*generator
	how := []string{kind, name(sb)}
	for i := range ends {
		for k, s := range []sdp.Suite{sa, sb} {
			g := &generator{conn: listenUDP(b), buf: make([]byte, 0, 400)}
			if s != sdp.NoSuite {
				g.tx, _ = srtp.NewSender(fixedKey(byte(1+2*k), s))
			}
			ends[i][k] = g
			how = append(how, strconv.Itoa(int(local(g.conn).Port())))
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRelayProcess$")
	cmd.Env = append(os.Environ(), relayEnv+"="+strings.Join(how, " "))
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for i := 0; lines.Scan() && lines.Text() != "ready"; {
		var p [2]uint16
		if n, _ := fmt.Sscanf(lines.Text(), "pair %d %d", &p[0], &p[1]); n == 2 {
			for k := range p {
				ends[i][k].to = netip.AddrPortFrom(loopback, p[k])
			}
			i++
		}
	}
	start := cpuOf(b, cmd.Process.Pid)
	sent := uint64(0)
	b.ResetTimer()
	seq := uint16(0)
	for range b.N {
		tick := time.NewTicker(20 * time.Millisecond)
		for range 50 {
			seq++
			for i := range ends {
				for _, g := range ends[i] {
					g.send(seq)
					sent++
				}
			}
			<-tick.C
		}
		tick.Stop()
	}
	b.StopTimer()
	used := cpuOf(b, cmd.Process.Pid) - start
	got := uint64(0)
	for i := range ends {
		for _, g := range ends[i] {
			got += g.drain()
		}
	}
	_ = stdin.Close()
	_ = cmd.Wait()
	b.ReportMetric(float64(used.Microseconds())/float64(sent), "cpu-us/packet")
	b.ReportMetric(100-100*float64(got)/float64(sent), "%lost")
}

func name(s sdp.Suite) string {
	if s == sdp.NoSuite {
		return "none"
	}
	return s.String()
}

var voice = make([]byte, 160)

func (g *generator) send(seq uint16) {
	b := append(rtpstat.Header{Seq: seq, Stamp: uint32(seq) * 160, SSRC: uint32(g.to.Port())}.Append(g.buf[:0]), voice...)
	if g.tx != nil {
		b, _ = g.tx.RTP(b[:0], b)
	}
	_, _ = g.conn.WriteToUDPAddrPort(b, g.to)
}

// drain counts what has arrived. The kernel keeps at least 200 small packets for a socket; the benchmark reads them after
// each run, so that the generator's reading does not disturb the measurement. Longer runs lose the rest here.
func (g *generator) drain() (n uint64) {
	raw, err := g.conn.SyscallConn()
	if err != nil {
		return 0
	}
	var buf [2000]byte
	_ = raw.Read(func(fd uintptr) bool {
		for {
			if m, _, err := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_DONTWAIT); err != nil || m == 0 {
				return true
			}
			n++
		}
	})
	return n
}

// cpuOf is the user and system time a process has used, from /proc in ticks of 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("no /proc on this system")
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	u, _ := strconv.Atoi(f[11])
	s, _ := strconv.Atoi(f[12])
	return time.Duration(u+s) * 10 * time.Millisecond
}
