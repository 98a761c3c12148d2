package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// NodeConfig is the configuration of one node: what it must know before it
// can read the site from the store. Every field may be left out; a node with
// an empty configuration is a one-machine cluster on loopback.
type NodeConfig struct {
	// Name of this node, as the site lists it. Default: node1; a site with one node means this one.
	Node string `yaml:"node"`
	// Folder of the node's data, relative to the file, for a file given with --node. Default: that of --home, ./var.
	Home string `yaml:"home"`
	// System of record.
	Store StoreConfig `yaml:"store"`
	// Events and soft state.
	Bus BusConfig `yaml:"bus"`
	// Administration.
	Admin AdminConfig `yaml:"admin"`
	// Trace.
	Trace TraceConfig `yaml:"trace"`
	// How long the node, told to stop, waits for its calls to end while other nodes take its devices over. Where no other node runs it
	// does not wait. Default: 10s.
	DrainLimit Duration `yaml:"drainLimit"`
}

// StoreConfig says where the system of record is.
type StoreConfig struct {
	// PostgreSQL by URL (postgres://...), or a path of an SQLite file, relative to the home folder. A
	// password belongs into PGPASSFILE or dsnFile. Default: locktone.db.
	DSN string `yaml:"dsn"`
	// File whose first line is the DSN, so that it stays out of this file. Relative to the home folder.
	DSNFile string `yaml:"dsnFile"`
	// What may wait on this node for PostgreSQL while it is away: call records, and what users set at their phones. MiB of
	// outbox.db; more records are refused and counted as lost. Default: 1024.
	OutboxMiB int `yaml:"outboxMiB"`
}

// BusConfig says how the node reaches the bus. Paths are relative to the home folder.
type BusConfig struct {
	// URLs of a NATS cluster (tls://host:4222). Left out: the embedded servers of the nodes are the bus; a node whose record is a
	// file is alone and opens no port for it.
	URLs []string `yaml:"urls"`
	// Address and port on which the buses of the other nodes are let in, when it differs from what the site says of this node.
	// Default: the node's address, port 6222.
	Listen string `yaml:"listen"`
	// CA certificates (PEM) the servers must chain to. Left out: the cluster's CA.
	CAFile string `yaml:"caFile"`
	// Client certificate chain (PEM). Left out: the node's identity.
	CertFile string `yaml:"certFile"`
	// Private key of the client certificate (PEM).
	KeyFile string `yaml:"keyFile"`
	// NATS credentials file (JWT and seed).
	CredentialsFile string `yaml:"credentialsFile"`
}

// AdminConfig says where administration listens.
type AdminConfig struct {
	// Unix socket, relative to the home folder. Default: admin.sock.
	Socket string `yaml:"socket"`
	// Address of the HTTPS API. Default: the one the site gives the service, 127.0.0.1:8443; any port when the default is taken.
	Address string `yaml:"address"`
}

// TraceConfig says how much is traced and kept.
type TraceConfig struct {
	// Folder of trace files, relative to the home folder. Default: trace.
	Folder string `yaml:"folder"`
	// Most bytes of trace files kept, in MiB. Default: 1024.
	MaxMiB int `yaml:"maxMiB"`
}

// DSN is where the system of record is: a PostgreSQL URL, or the path of an SQLite file. Relative paths begin at the home folder.
func (n *NodeConfig) DSN(home string) (string, error) {
	dsn := n.Store.DSN
	if n.Store.DSNFile != "" {
		b, err := os.ReadFile(within(home, n.Store.DSNFile))
		if err != nil {
			return "", fmt.Errorf("store.dsnFile: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		dsn = strings.TrimSpace(line)
	}
	if dsn == "" {
		dsn = "locktone.db"
	}
	if strings.Contains(dsn, "://") {
		return dsn, nil
	}
	return within(home, dsn), nil
}

func within(home, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(home, path)
}
