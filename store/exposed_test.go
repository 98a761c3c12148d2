package store

import (
	"strings"
	"testing"
)

// TestExposed: what a DSN leaves open, as `locktone show exceptions` tells it, and never with the password.
func TestExposed(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGSSLMODE", "PGSSLROOTCERT"} {
		t.Setenv(name, "")
	}
	for dsn, want := range map[string]string{
		"/var/lib/locktone/locktone.db":                                                                "",
		"postgres:///db?host=/run/postgresql":                                                          "",
		"postgres:///db?host=/run/a,/run/b&sslmode=disable":                                            "",
		"postgres://u:hidden@127.0.0.1/db?sslmode=disable":                                             "",
		"postgres://u:hidden@localhost:5433/db":                                                        "",
		"postgres://u:hidden@[::1]/db":                                                                 "",
		"postgres://u:hidden@db.example.com/db?sslmode=verify-full":                                    "",
		"postgres://u:hidden@a.example.com,b.example.com/db?sslmode=verify-full":                       "",
		"postgres://u:hidden@db.example.com/db":                                                        "db.example.com: without TLS", // prefer
		"postgres://u:hidden@db.example.com/db?sslmode=disable":                                        "db.example.com: without TLS",
		"postgres://u:hidden@db.example.com/db?sslmode=allow":                                          "db.example.com: without TLS",
		"postgres://u:hidden@192.0.2.7/db?sslmode=prefer":                                              "192.0.2.7: without TLS",
		"postgres://u:hidden@db.example.com/db?sslmode=require":                                        "db.example.com: require",
		"postgresql://u:hidden@db.example.com/db?sslmode=verify-ca":                                    "db.example.com: verify-ca",
		"postgres://u:hidden@127.0.0.1,db.example.com/db?sslmode=disable":                              "db.example.com: without TLS",
		"postgres://u:hidden@localhost.example.com/db?sslmode=require&target_session_attrs=read-write": "localhost.example.com: require",
	} {
		value, risk, err := Exposed(dsn)
		if err != nil || value != want || (risk == "") != (want == "") {
			t.Errorf("%s: %q, %q, %v; want %q", dsn, value, risk, err, want)
		}
		if strings.Contains(value+risk, "hidden") {
			t.Errorf("the password is shown: %s %s", value, risk)
		}
	}
	if _, _, err := Exposed("postgres://u:hidden@db.example.com/db?sslmode=nonsense"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a DSN that cannot be read: %v", err)
	}
}
