package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/trace"
)

// Client asks a node's API over the unix socket of its home folder.
type Client struct {
	http   *http.Client
	socket string
}

// ErrNotRunning: nothing answers on the socket.
var ErrNotRunning = errors.New("no node is running there")

// NewClient returns a client for the node of a home folder. It connects with the first request.
func NewClient(home string) *Client { return NewSocketClient(filepath.Join(home, SocketName)) }

// NewSocketClient returns a client for a socket.
func NewSocketClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends in (nil: no body) and reads the answer into out (nil: dropped). Errors are *Problem, or wrap ErrNotRunning.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// Download copies the answer's body as it is and returns its size.
func (c *Client) Download(ctx context.Context, method, path string, w io.Writer) (int64, error) {
	res, err := c.open(ctx, method, path, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return io.Copy(w, res.Body)
}

func (c *Client) open(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var send io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, send)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, readProblem(res)
	}
	return res, nil
}

// unreachable turns a failed connection into something to act on.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s does not let you in: run this as the user that runs the node", c.socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (%s): start it with locktone up, or name its folder with --home", ErrNotRunning, c.socket)
	}
	return err
}

func readProblem(res *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	p := &Problem{}
	if err := json.Unmarshal(b, p); err != nil || p.Code == "" {
		p = problem(bus.CodeInternal, fmt.Sprintf("the node answered %s: %s", res.Status, shortText(b)))
	}
	return p
}

func shortText(b []byte) string {
	return strings.TrimSpace(string(b[:min(len(b), 200)]))
}

// Follow calls each for every record of a feed until ctx ends, the node goes, or each returns an error. lost is the
// number of records that are missing before the one handed over.
func (c *Client) Follow(ctx context.Context, path string, each func(r trace.Record, lost uint64) error) error {
	res, err := c.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	var event string
	var lost struct {
		Lost uint64 `json:"lost"`
	}
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if event == "lagged" {
			if err := json.Unmarshal([]byte(data), &lost); err != nil {
				return err
			}
			continue
		}
		var r trace.Record
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			return err
		}
		if err := each(r, lost.Lost); err != nil {
			return err
		}
		lost.Lost = 0
	}
	return lines.Err()
}
