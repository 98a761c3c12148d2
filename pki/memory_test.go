package pki

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// memory is a Custody for tests.
type memory struct {
	mu sync.Mutex
	m  map[string]Secret
}

func newMemory() *memory { return &memory{m: make(map[string]Secret)} }

func (m *memory) Load(_ context.Context, name string) (Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.m[name]; ok {
		return s, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Create(_ context.Context, name string, s Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.m[name]; ok {
		return fs.ErrExist
	}
	m.m[name] = s
	return nil
}

func (m *memory) Replace(_ context.Context, name string, s Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[name] = s
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.m, name)
	return nil
}

func (m *memory) List(_ context.Context, prefix string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.m {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}
