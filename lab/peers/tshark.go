package peers

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Dissect runs tshark over a capture and returns its lines. Options are tshark's: a display filter (-Y), preferences
// (-o), decode-as rules (-d), fields (-T fields -e ...).
func Dissect(ctx context.Context, capture string, options ...string) ([]string, error) {
	path, err := Find("tshark")
	if err != nil {
		return nil, err
	}
	var out, diag bytes.Buffer
	cmd := exec.CommandContext(ctx, path, append([]string{"-r", capture, "-n"}, options...)...)
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("tshark: %w: %s", err, diag.String())
	}
	text := strings.TrimSpace(out.String())
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// A Capture is a running recording of loopback traffic; only root, or a member of the capture group, may make one.
type Capture struct {
	*Process
	File string
}

// StartCapture records what fits the filter (in pcap-filter(7) syntax) on the loopback interface into file.
func StartCapture(ctx context.Context, dir, file, filter string) (*Capture, error) {
	p, err := run(dir, "tshark", "-i", "lo", "-w", file, "-f", filter, "-q")
	if err != nil {
		return nil, err
	}
	if _, err := p.Wait(ctx, 0, "Capturing on"); err != nil {
		p.Stop()
		return nil, err
	}
	return &Capture{p, file}, nil
}

// Close ends the recording and returns when the file is whole.
func (c *Capture) Close(ctx context.Context) error {
	err := c.Interrupt(ctx)
	c.Stop()
	return err
}
