package store

import (
	"fmt"
	"os"
	"testing"

	"github.com/locktone/locktone/lab/postgres"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("LOCKTONE_STORE_CHILD"); dsn != "" {
		applyForEver(dsn)
		return
	}
	release := postgres.Keep()
	code := m.Run()
	if err := release(); err != nil {
		fmt.Println(err)
	}
	os.Exit(code)
}
