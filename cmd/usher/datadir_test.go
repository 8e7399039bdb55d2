package main

import (
	"context"
	"strings"
	"testing"
)

func TestServe_WaitsForACommandThatWritesWithoutANode(t *testing.T) {
	dir := t.TempDir()
	command := &ownJournal{}
	if serves, err := command.takeTurn(t.Context(), dir); serves || err != nil {
		t.Fatal(serves, err)
	}
	impatient, end := context.WithCancel(t.Context())
	end()
	if _, err := lockForNode(impatient, dir); err == nil || !strings.Contains(err.Error(), "another command") {
		t.Errorf("beside a command it says: %v", err)
	}
	command.release()
	release, err := lockForNode(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := lockForNode(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another usher serves") {
		t.Errorf("beside a node it says: %v", err)
	}
	if serves, err := command.takeTurn(t.Context(), dir); !serves || err != nil {
		t.Errorf("beside a node a command takes it for its own: %v, %v", serves, err)
	}
}
