package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/service/admin"
)

// cluster is two nodes, processes of the program each, on a PostgreSQL of their own. The second joined the first by token, as
// `locktone up --join` does; the group of all phones is n1, n2.
type cluster struct {
	n1, n2 *server
	record *postgres.Server
}

// startCluster starts both nodes, with so many phones of the group direct, and waits until each knows the other.
func (b *bench) startCluster(ctx context.Context, phones int) (c *cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	c = &cluster{}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if c.record, err = postgres.New(); err != nil {
		return nil, err
	}
	database, err := c.record.Create(ctx)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	conf := siteConfig(phones)
	conf.Nodes = []config.Node{{Name: "n1", Address: addr.String()}}
	conf.CallManagerGroups[0].Nodes = []string{"n1"}
	if c.n1, err = b.startMember(ctx, "n1", addr, c.record.URL(database), conf); err != nil {
		return nil, err
	}
	if addr, err = freeAddress(); err != nil {
		return nil, err
	}
	if c.n2, err = b.joinMember(ctx, c.n1, "n2", addr); err != nil {
		return nil, err
	}
	conf.Nodes = append(conf.Nodes, config.Node{Name: "n2", Address: addr.String()})
	conf.CallManagerGroups[0].Nodes = []string{"n1", "n2"}
	file := filepath.Join(filepath.Dir(c.n1.home), "cluster.yaml")
	if err := os.WriteFile(file, config.Format(conf.Canonical(), true), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, b.bin, "apply", file, "--home", c.n1.home).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("apply: %w: %s", err, out)
	}
	return c, c.met(ctx)
}

// met waits until both nodes have the configuration with the group and hear each other.
func (c *cluster) met(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		alive := 0
		for _, n := range []*server{c.n1, c.n2} {
			var list admin.Rows[admin.NodeRow]
			api := admin.NewClient(n.home)
			err := api.Do(ctx, "GET", "/v1/nodes", nil, &list)
			api.Close()
			for _, r := range list.Rows {
				if err == nil && r.Alive && len(r.Groups) > 0 {
					alive++
				}
			}
		}
		if alive == 4 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the nodes do not see each other: %w", context.Cause(ctx))
		}
	}
}

func (c *cluster) stop() {
	for _, n := range []*server{c.n2, c.n1} {
		if n != nil {
			n.stop()
		}
	}
	if c.record != nil {
		_ = c.record.Close()
	}
}

// startMember starts the first node, with a site.
func (b *bench) startMember(ctx context.Context, name string, addr netip.Addr, dsn string, conf *config.Site) (*server, error) {
	dir, home, err := b.memberHome(name)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "site.yaml")
	for path, text := range map[string]string{file: string(config.Format(conf.Canonical(), true)),
		filepath.Join(home, "node.yaml"): "node: " + name + "\nstore: {dsn: '" + dsn + "'}\nadmin: {address: '127.0.0.1:0'}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	s, err := b.up(ctx, name, b.bin, dir, addr, "--site", file)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(home, "phones", "alice", "ca.pem"))
	s.roots = x509.NewCertPool()
	if err != nil || !s.roots.AppendCertsFromPEM(ca) {
		s.stop()
		return nil, errors.Join(errors.New("the site's authority"), err)
	}
	return s, nil
}

// joinMember starts another node with a token of a member.
func (b *bench) joinMember(ctx context.Context, member *server, name string, addr netip.Addr) (*server, error) {
	dir, _, err := b.memberHome(name)
	if err != nil {
		return nil, err
	}
	token, err := exec.CommandContext(ctx, b.bin, "node", "token", "--home", member.home, "--name", name).Output()
	if err != nil {
		return nil, fmt.Errorf("node token: %w", err)
	}
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		return nil, err
	}
	url, err := b.adminURL(ctx, member)
	if err != nil {
		return nil, err
	}
	s, err := b.up(ctx, name, b.bin, dir, addr, "--join", url, "--token-file", file, "--name", name, "--address", addr.String())
	if err != nil {
		return nil, err
	}
	s.roots = member.roots
	return s, nil
}

// adminURL is where administration of a node answers over the network.
func (b *bench) adminURL(ctx context.Context, s *server) (string, error) {
	out, err := exec.CommandContext(ctx, b.bin, "status", "--home", s.home, "--json").Output()
	if err != nil {
		return "", err
	}
	var st admin.Status
	if err := json.Unmarshal(out, &st); err != nil {
		return "", err
	}
	for _, x := range st.Services {
		for _, a := range x.Addresses {
			if strings.HasPrefix(a, "https://127.0.0.1:") {
				return a, nil
			}
		}
	}
	return "", fmt.Errorf("no HTTPS API in %s", out)
}

// memberHome is a new folder with a home in it that trusts the authority of the bench's phones.
func (b *bench) memberHome(name string) (dir, home string, err error) {
	if dir, err = os.MkdirTemp(b.dir, name); err != nil {
		return "", "", err
	}
	home = filepath.Join(dir, "home")
	if err = os.MkdirAll(filepath.Join(home, "trust", "devices"), 0o700); err == nil {
		err = os.WriteFile(filepath.Join(home, "trust", "devices", "bench.pem"), b.ca.PEM(), 0o600)
	}
	return dir, home, err
}

// up starts a process of our program on dir/home and waits until it is ready.
func (b *bench) up(ctx context.Context, name, bin, dir string, addr netip.Addr, args ...string) (*server, error) {
	home := filepath.Join(dir, "home")
	c, err := launch(dir, name, bin, append([]string{"up", "--home", home}, args...)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	if err = c.ready(ctx, func() bool { return exec.CommandContext(ctx, bin, "status", "--home", home, "--json").Run() == nil }); err != nil {
		c.stop()
		return nil, err
	}
	kill := func() { _ = syscall.Kill(-c.pid(), syscall.SIGKILL) }
	return &server{name: name, addr: netip.AddrPortFrom(addr, 5061), pid: c.pid(), home: home, stop: c.stop, kill: kill}, nil
}
