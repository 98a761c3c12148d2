package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestManualIsCurrent(t *testing.T) {
	want, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("docs/configuration.md is not what the doc comments say: go generate ./config")
	}
}

func TestManualNamesEveryType(t *testing.T) {
	text, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### SIPTrunk\n", "### CAPFSettings\n", "### BusConfig\n", "`ec-preferred-rsa-backup`", "| `discard` |", "password or hash", "- name: alice"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the manual has no %q", want)
		}
	}
	if strings.Contains(string(text), "| ? |") {
		t.Error("the manual has a field whose type it cannot name")
	}
}
