package voicebrowser

import (
	"bytes"
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/service/voicebrowser/fetch"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// maxAudio bounds a sound file, octets.
const maxAudio = 16 << 20

// sound is the sound of an audio element.
func (x *session) sound(ctx context.Context, a *interpreter.Audio) ([]int16, error) {
	if a.Recording != "" {
		if r := x.recordings.get(a.Recording); r != nil {
			return r.pcm, nil
		}
		return nil, errNoSound
	}
	if name, ok := strings.CutPrefix(a.URL, builtin); ok {
		return x.s.sounds.builtin(x.site.SoundFolder, name)
	}
	r, err := x.site.client.Fetch(ctx, fetch.Request{URL: a.URL, Timeout: a.Timeout, MaxAge: a.MaxAge, MaxStale: a.MaxStale, MaxBody: maxAudio})
	if err != nil {
		return nil, err
	}
	if r.Status != 200 {
		return nil, fmt.Errorf("%s: status %d", a.URL, r.Status)
	}
	return x.s.sounds.decoded(r)
}

// builtin is the scheme of sounds that the browser has itself.
const builtin = "builtin:"

// sounds keeps decoded sound files, the longest unused go.
type sounds struct {
	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *decoded
	size  int
}

// decoded is sound with what it was made of: the same octets in memory, or the same file as it was then.
type decoded struct {
	key  string
	body []byte
	when time.Time
	pcm  []int16
}

// maxSounds bounds what is kept decoded, samples: 32 MiB.
const maxSounds = 16 << 20

func newSounds() *sounds { return &sounds{byKey: map[string]*list.Element{}, order: list.New()} }

// get is what is kept under a key, while it is of the same origin.
func (s *sounds) get(key string, body []byte, when time.Time) []int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byKey[key]
	if x == nil {
		return nil
	}
	d := x.Value.(*decoded)
	if !d.when.Equal(when) || len(d.body) != len(body) || len(body) > 0 && &d.body[0] != &body[0] {
		return nil
	}
	s.order.MoveToFront(x)
	return d.pcm
}

func (s *sounds) put(d *decoded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byKey[d.key]; old != nil {
		s.drop(old)
	}
	s.byKey[d.key] = s.order.PushFront(d)
	for s.size += len(d.pcm); s.size > maxSounds; {
		s.drop(s.order.Back())
	}
}

func (s *sounds) drop(x *list.Element) {
	d := s.order.Remove(x).(*decoded)
	delete(s.byKey, d.key)
	s.size -= len(d.pcm)
}

func (s *sounds) decoded(r *fetch.Response) ([]int16, error) {
	if pcm := s.get(r.URL, r.Body, time.Time{}); pcm != nil {
		return pcm, nil
	}
	pcm, err := decode(r.Body, r.Type, r.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL, err)
	}
	s.put(&decoded{key: r.URL, body: r.Body, pcm: pcm})
	return pcm, nil
}

// builtin is a file of the folder, or the built-in music; a minute of it, which documents repeat.
func (s *sounds) builtin(folder, name string) ([]int16, error) {
	if pcm, err := s.file(folder, name); !errors.Is(err, os.ErrNotExist) {
		return pcm, err
	}
	key := builtin + name
	if pcm := s.get(key, nil, time.Time{}); pcm != nil {
		return pcm, nil
	}
	pcm := make([]int16, time.Minute/time.Second*media.Rate)
	switch name {
	case "music":
		_, _ = tone.NewMusic().ReadPCM(pcm) // it has no end
	case "ringback":
		_, _ = tone.Ringback().ReadPCM(pcm)
	case "beep":
		pcm = beep()
	default:
		return nil, fmt.Errorf("%s: there is no such sound; built in are music, ringback and beep, others are files of soundFolder", key)
	}
	s.put(&decoded{key: key, pcm: pcm})
	return pcm, nil
}

func (s *sounds) file(folder, name string) ([]int16, error) {
	if folder == "" || name != filepath.Base(name) {
		return nil, os.ErrNotExist
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		f, err = root.Open(name + ".wav")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if pcm := s.get(builtin+name, nil, info.ModTime()); pcm != nil {
		return pcm, nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAudio))
	if err != nil {
		return nil, err
	}
	pcm, err := decode(b, "", name)
	if err == nil {
		s.put(&decoded{key: builtin + name, when: info.ModTime(), pcm: pcm})
	}
	return pcm, err
}

// decode understands the formats of VoiceXML 2.0, appendix E: WAV, and mu-law or A-law without a header or behind that of an .au file.
func decode(b []byte, media, name string) ([]int16, error) {
	law := g711.ULaw
	switch {
	case bytes.HasPrefix(b, []byte("RIFF")):
		return wav.Read(b)
	case len(b) >= 24 && bytes.HasPrefix(b, []byte(".snd")):
		return decodeAU(b)
	case media == "audio/x-alaw-basic" || strings.HasSuffix(name, ".alaw") || strings.HasSuffix(name, ".al"):
		law = g711.ALaw
	case media == "audio/basic" || strings.HasSuffix(name, ".ulaw") || strings.HasSuffix(name, ".ul"):
	default:
		return nil, fmt.Errorf("no sound file: type %q; expected WAV, audio/basic or audio/x-alaw-basic", media)
	}
	pcm := make([]int16, len(b))
	law.Decode(pcm, b)
	return pcm, nil
}

// decodeAU reads an .au file: magic, offset of the data, its size, encoding (1 mu-law, 27 A-law), rate, channels, 32 bit each.
func decodeAU(b []byte) ([]int16, error) {
	be := binary.BigEndian
	offset, encoding, rate, channels := be.Uint32(b[4:]), be.Uint32(b[12:]), be.Uint32(b[16:]), be.Uint32(b[20:])
	law := g711.ULaw
	if encoding == 27 {
		law = g711.ALaw
	}
	if uint64(offset) > uint64(len(b)) || offset < 24 || encoding != 1 && encoding != 27 || rate != media.Rate || channels != 1 {
		return nil, fmt.Errorf("an .au file of encoding %d, %d Hz, %d channels; expected 1 (mu-law) or 27 (A-law), %d Hz, 1", encoding, rate, channels, media.Rate)
	}
	pcm := make([]int16, len(b)-int(offset))
	law.Decode(pcm, b[offset:])
	return pcm, nil
}
