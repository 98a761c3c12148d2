package lab

import (
	"sync"

	"github.com/locktone/locktone/pki"
)

// keys hands out ready-made key pairs: an RSA key takes a tenth of a second to make and a site needs sixteen. The sites of one
// process share them; within a site no two certificates have the same one until some forty are used up.
type keys struct {
	mu   sync.Mutex
	used map[pki.Algorithm]int
}

// readyMade are the keys of the process, made when first asked for.
var readyMade = struct {
	mu  sync.Mutex
	all map[pki.Algorithm][]pki.PrivateKey
}{all: map[pki.Algorithm][]pki.PrivateKey{}}

// distinctKeys is how many of a kind there are.
const distinctKeys = 40

// make is pki.Config.Keys.
func (k *keys) make(a pki.Algorithm) (pki.PrivateKey, error) {
	if a == pki.ECDSAP256 {
		return pki.GenerateKey(a) // costs nothing
	}
	k.mu.Lock()
	n := k.used[a] % distinctKeys
	k.used[a]++
	k.mu.Unlock()
	readyMade.mu.Lock()
	if n < len(readyMade.all[a]) {
		defer readyMade.mu.Unlock()
		return readyMade.all[a][n], nil
	}
	readyMade.mu.Unlock()
	key, err := pki.GenerateKey(a)
	if err != nil {
		return key, err
	}
	readyMade.mu.Lock()
	defer readyMade.mu.Unlock()
	readyMade.all[a] = append(readyMade.all[a], key)
	return key, nil
}
