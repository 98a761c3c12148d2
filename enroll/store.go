package enroll

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/trustlist"
)

// Folder is the folder below DIR, as the first instance of the field's TSP has it.
const Folder = "tsp001"

// The files of a folder; see the package comment.
const (
	fileCTL         = "CTLFile.tlv.sgn"
	fileITL         = "ITLFile.tlv.sgn"
	fileCallManager = "CallManager.cer"
	fileCertificate = "QBEClient.cer"
	fileKey         = "QBEClient.pem"
	fileKeyNext     = "QBEClient.pem.next"
	fileCertNext    = "QBEClient.cer.next"
	fileState       = "enrolment.json"
)

// State is what enrolment.json says.
type State struct {
	Name     string    `json:"name"`              // DEVICE_NAME: who this folder is
	Pinned   bool      `json:"pinned"`            // the first list was vouched for by a join token
	List     string    `json:"list,omitempty"`    // the file name under which the list was found
	Signer   string    `json:"signer,omitempty"`  // subject of the list's signer
	Fetched  time.Time `json:"fetched,omitzero"`  // the list
	Enrolled time.Time `json:"enrolled,omitzero"` // the certificate
	Issuer   string    `json:"issuer,omitempty"`  // of the certificate
	Serial   string    `json:"serial,omitempty"`  // of the certificate, hex
	NotAfter time.Time `json:"notAfter,omitzero"` // of the certificate
}

// Store is one folder. It is not for concurrent use by two processes.
type Store struct {
	disk    disk
	hashOld bool
}

// OpenStore opens DIR/tsp001, makes it (mode 0700) when it is missing, and repairs what a crash left. hashOld writes each
// certificate also under the hash of OpenSSL before 1.0.
func OpenStore(dir string, hashOld bool) (*Store, error) {
	return openStore(disk{dir: filepath.Join(dir, Folder)}, hashOld)
}

func openStore(d disk, hashOld bool) (*Store, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{disk: d, hashOld: hashOld}
	return s, s.repair()
}

// Path is the folder.
func (s *Store) Path() string { return s.disk.dir }

// repair finishes or undoes what was under way: certificate and key are two files, and the certificate is renamed first. So
// a certificate whose key still waits in .next was renamed before a crash, and one that waits itself never counted.
func (s *Store) repair() error {
	if stale, err := filepath.Glob(s.disk.path(".*.tmp")); err == nil {
		for _, path := range stale {
			_ = os.Remove(path)
		}
	}
	if err := s.disk.remove(fileCertNext); err != nil {
		return err
	}
	der, err := s.disk.read(fileCertificate)
	if err != nil || der == nil {
		return err
	}
	if key, err := s.key(fileKey); err == nil && key != nil && matches(der, key) {
		return nil
	}
	next, err := s.key(fileKeyNext)
	if err != nil || next == nil || !matches(der, next) {
		return nil // somebody else's damage: Credential tells
	}
	return s.disk.rename(fileKeyNext, fileKey)
}

// matches says whether the key is the certificate's.
func matches(der []byte, key crypto.Signer) bool {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// key reads a private key; nil when there is none.
func (s *Store) key(name string) (crypto.Signer, error) {
	b, err := s.disk.read(name)
	if err != nil || b == nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", s.disk.path(name))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.disk.path(name), err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T cannot sign", s.disk.path(name), parsed)
	}
	return signer, nil
}

// pending is the key of an enrolment under way, nil when there is none.
func (s *Store) pending() crypto.Signer {
	key, err := s.key(fileKeyNext)
	if err != nil {
		return nil // damaged: a new one is made
	}
	return key
}

// keep stores a key for which a certificate will come.
func (s *Store) keep(key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return s.disk.replace(fileKeyNext, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// install makes the kept key and its certificate the ones in force.
func (s *Store) install(der []byte) error {
	if err := s.disk.replace(fileCertNext, der, 0o644); err != nil {
		return err
	}
	if err := s.disk.rename(fileCertNext, fileCertificate); err != nil {
		return err
	}
	return s.disk.rename(fileKeyNext, fileKey)
}

// erase deletes certificate and key, as CAPF's Delete orders.
func (s *Store) erase() error {
	return s.disk.remove(fileCertificate, fileKey, fileKeyNext)
}

// ErrNone says that a folder has no certificate yet.
var ErrNone = errors.New("enroll: there is no certificate here yet")

// Credential is our certificate and key, ErrNone when there is none.
func (s *Store) Credential() (tls.Certificate, error) {
	der, err := s.disk.read(fileCertificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := s.key(fileKey)
	switch {
	case err != nil:
		return tls.Certificate{}, err
	case der == nil || key == nil:
		return tls.Certificate{}, fmt.Errorf("%w: %s", ErrNone, s.disk.dir)
	case !matches(der, key):
		return tls.Certificate{}, fmt.Errorf("%s is not the key of %s: enrol again", s.disk.path(fileKey), s.disk.path(fileCertificate))
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// List is the trust list held of the kind, nil when there is none. It was verified when it was stored.
func (s *Store) List(kind trustlist.Kind) (*trustlist.List, error) {
	b, err := s.disk.read(listFile(kind))
	if err != nil || b == nil {
		return nil, err
	}
	list, err := trustlist.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.disk.path(listFile(kind)), err)
	}
	return list, nil
}

func listFile(kind trustlist.Kind) string {
	if kind == trustlist.ITL {
		return fileITL
	}
	return fileCTL
}

// hashed are names that this package may remove: a subject hash and a number.
var hashed = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]{1,3}$`)

// putList stores a list that was verified. The list's own file is written after the certificates and before those of the
// former list are removed, so that at any time there are at least the certificates of the list held.
func (s *Store) putList(list *trustlist.List) error {
	if list.Kind == trustlist.ITL {
		return s.disk.replace(fileITL, list.Bytes(), 0o644)
	}
	files, err := s.hashFiles(list)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.disk.replace(f.name, f.content, 0o644); err != nil {
			return err
		}
	}
	if err := s.putCallManager(list); err != nil {
		return err
	}
	if err := s.disk.replace(fileCTL, list.Bytes(), 0o644); err != nil {
		return err
	}
	return s.removeOthers(files)
}

type hashFile struct {
	name    string
	content []byte
}

// hashFiles names each certificate of the list by its subject hash; certificates of one subject count up.
func (s *Store) hashFiles(list *trustlist.List) ([]hashFile, error) {
	var out []hashFile
	used, seen := map[string]int{}, map[string]bool{}
	add := func(hash string, der []byte) {
		name := hash + "." + strconv.Itoa(used[hash])
		used[hash]++
		out = append(out, hashFile{name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})})
	}
	for i := range list.Records {
		r := &list.Records[i]
		if r.Certificate == nil || seen[string(r.Certificate)] {
			continue
		}
		seen[string(r.Certificate)] = true
		cert, err := r.X509()
		if err != nil {
			return nil, fmt.Errorf("record %d of the list: %w", i+1, err)
		}
		hash, err := trustlist.SubjectHash(cert.RawSubject)
		if err != nil {
			return nil, fmt.Errorf("record %d of the list: %w", i+1, err)
		}
		add(hash, r.Certificate)
		if old := trustlist.SubjectHashOld(cert.RawSubject); s.hashOld && old != hash {
			add(old, r.Certificate)
		}
	}
	return out, nil
}

// putCallManager stores the first call manager's certificate by itself.
func (s *Store) putCallManager(list *trustlist.List) error {
	for _, r := range list.ByRole(trustlist.RoleCCMTFTP, trustlist.RoleCCM) {
		if r.Certificate != nil {
			return s.disk.replace(fileCallManager, r.Certificate, 0o644)
		}
	}
	return s.disk.remove(fileCallManager)
}

func (s *Store) removeOthers(files []hashFile) error {
	keep := map[string]bool{}
	for _, f := range files {
		keep[f.name] = true
	}
	entries, err := os.ReadDir(s.disk.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && hashed.MatchString(e.Name()) && !keep[e.Name()] {
			if err := s.disk.remove(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// State is what enrolment.json says; the zero State when it is missing.
func (s *Store) State() (State, error) {
	var st State
	b, err := s.disk.read(fileState)
	if err != nil || b == nil {
		return st, err
	}
	if err := json.Unmarshal(bytes.TrimSpace(b), &st); err != nil {
		return st, fmt.Errorf("%s: %w", s.disk.path(fileState), err)
	}
	return st, nil
}

func (s *Store) putState(st State) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return s.disk.replace(fileState, append(b, '\n'), 0o644)
}
