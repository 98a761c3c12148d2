package callmanager

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
)

// recordings are the music-on-hold sources of a configuration by name, decoded when the configuration comes into force: who
// holds a call must not wait for a disk. Immutable.
type recordings map[string]recording

// A recording is the content of one file; all parties that hear it share the samples.
type recording struct {
	path     string
	modified time.Time
	size     int64
	pcm      []int16
	err      error // why the built-in melody is heard instead
}

// maxRecording bounds what is read of one file: an hour of linear samples and some chunks beside them.
const maxRecording = 2*wav.MaxSamples + 1<<20

// record reads the files of all sources; one that is as before is not read again.
func record(c *config.Site, folder string, before recordings) recordings {
	out := recordings{}
	for _, m := range c.MusicOnHold {
		if m.File == "" {
			continue
		}
		path := m.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		out[m.Name] = read(path, before[m.Name])
	}
	return out
}

func read(path string, before recording) recording {
	r := recording{path: path}
	f, err := os.Open(path)
	if err != nil {
		r.err = err
		return r
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		r.err = err
		return r
	case !info.Mode().IsRegular():
		r.err = fmt.Errorf("%s is not a file", path)
		return r
	case info.Size() > maxRecording:
		r.err = fmt.Errorf("%s is longer than an hour", path)
		return r
	}
	if r.modified, r.size = info.ModTime(), info.Size(); before.err == nil && before.path == path && before.modified.Equal(r.modified) && before.size == r.size {
		return before
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecording))
	if err == nil {
		r.pcm, err = wav.Read(b)
	}
	if err == nil && len(r.pcm) == 0 {
		err = errors.New("the file holds no sound")
	}
	if err != nil {
		r.err = fmt.Errorf("%s: %w", path, err)
	}
	return r
}

// trouble says which sources cannot be heard, "" when all can.
func (r recordings) trouble(c *config.Site) string {
	var all []string
	for _, m := range c.MusicOnHold {
		if err := r[m.Name].err; err != nil {
			all = append(all, fmt.Sprintf("musicOnHold[%s]: %v: the built-in melody is played instead", m.Name, err))
		}
	}
	return strings.Join(all, "; ")
}

// music is media.PlaneConfig's hook: the source of that name from its beginning, nil for the built-in melody.
func (s *Service) music(name string) media.Source {
	if name == "" {
		name = defaultMusic
	}
	if r := s.site.Load().recordings[name]; len(r.pcm) > 0 {
		return tone.NewLoop(r.pcm)
	}
	return nil
}

// defaultMusic is the source of everybody who names none.
const defaultMusic = "default"

// holdMusic is the engine's name for the source of a device pool.
func holdMusic(pool config.DevicePool) string { return musicNamed(pool.MusicOnHold) }

// musicNamed is the engine's name for a source; "" stays "".
func musicNamed(source string) string {
	if source == "" {
		return ""
	}
	return call.SourceMusic + ":" + source
}
