package server

import (
	"sync"
	"sync/atomic"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
)

// view is one published state, immutable but for its cache: what is the same for many streams is translated once.
type view struct {
	generation uint64
	mesh       *mesh.Mesh    // nil until the first Publish
	bundle     *xds.Resource // nil until the first PublishBundle

	mu    sync.Mutex // guards cache, not the answers in it
	cache map[cacheKey]*answer
}

type cacheKey struct{ typeURL, name, scope string }

// answer is a resource, or that there is none.
type answer struct {
	once     sync.Once
	done     atomic.Bool // once has run
	used     atomic.Bool // since it came into this view
	resource xds.Resource
	err      error
}

// lookup translates a resource for a pod, or takes it from the cache.
func (v *view) lookup(who mesh.Name, typeURL, name string) (xds.Resource, error) {
	if typeURL == xds.SecretType && name == xds.TrustBundleName {
		if v.bundle == nil {
			return xds.Resource{}, xds.ErrUnknown
		}
		return *v.bundle, nil
	}
	key := cacheKey{typeURL, name, xds.Scope(v.mesh, who, typeURL, name)}
	v.mu.Lock()
	a := v.cache[key]
	if a == nil {
		a = &answer{}
		v.cache[key] = a
	}
	v.mu.Unlock()
	a.used.Store(true)
	a.once.Do(func() {
		a.resource, a.err = xds.Translate(v.mesh, who, typeURL, name)
		a.done.Store(true)
	})
	return a.resource, a.err
}

// next is the view after a Publish. Answers that were used and cannot have changed come along.
func (v *view) next(m *mesh.Mesh) *view {
	n := &view{generation: v.generation + 1, mesh: m, bundle: v.bundle, cache: map[cacheKey]*answer{}}
	if v.mesh == nil {
		return n
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, old := range v.cache {
		if !old.used.Load() || !old.done.Load() || old.err != nil || !xds.Unchanged(v.mesh, m, key.typeURL, key.name, key.scope) {
			continue
		}
		kept := &answer{resource: old.resource}
		kept.once.Do(func() { kept.done.Store(true) })
		n.cache[key] = kept
	}
	return n
}

func (v *view) withBundle(b xds.Resource) *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := &view{generation: v.generation + 1, mesh: v.mesh, bundle: &b, cache: make(map[cacheKey]*answer, len(v.cache))}
	for k, a := range v.cache {
		n.cache[k] = a
	}
	return n
}
