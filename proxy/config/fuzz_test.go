package config_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/plan"
)

// seeds are valid resources, by the types in seedTypes.
var (
	seedTypes = []string{config.ListenerType, config.RouteType, config.ClusterType, config.EndpointType, config.SecretType}
	seeds     = []string{validListener, action(`, "timeout": "1s", "requestMirrorPolicies": [{"cluster": "c", "disableShadowHostSuffixAppend": true}]`), validCluster, validEDS, validSecret}
)

// FuzzDecode: whatever a control plane sends, the answer is a value or an error, in bounded time, and a value is usable.
func FuzzDecode(f *testing.F) {
	for i, json := range seeds {
		f.Add(uint8(i), "x", encode(f, seedTypes[i], json))
	}
	f.Add(uint8(2), "x", encode(f, config.ClusterType, httpCluster(`"explicitHttpConfig": {"http2ProtocolOptions": {}}`)))
	f.Add(uint8(0), "inbound", encode(f, config.ListenerType, validInbound))
	f.Add(uint8(0), "udp/127.0.0.1:53", encode(f, config.ListenerType, validUDP))
	f.Add(uint8(0), "x", encode(f, config.ListenerType, validSNI))
	f.Add(uint8(0), "x", encode(f, config.ListenerType, validByName))
	f.Add(uint8(0), "gateway/443", encode(f, config.ListenerType, validPort))
	f.Add(uint8(0), "gateway/80", encode(f, config.ListenerType, validPlainPort))
	f.Add(uint8(1), "x", encode(f, config.RouteType, validHosts))
	f.Add(uint8(1), "x", encode(f, config.RouteType, validAuth))
	f.Add(uint8(1), "x", encode(f, config.RouteType, validFiltered()))
	f.Add(uint8(2), "x", encode(f, config.ClusterType, validTLSCluster))
	f.Add(uint8(1), "x", encode(f, config.RouteType, validPersistent))
	f.Add(uint8(2), "x", encode(f, config.ClusterType, validTraffic))
	f.Add(uint8(2), "x", encode(f, config.ClusterType, validDNS))
	f.Add(uint8(4), "certificate/a/b", encode(f, config.SecretType, validCertificate(f)))
	f.Add(uint8(4), "client-roots/443/*", encode(f, config.SecretType, strings.Replace(validSecret, `"x"`, `"client-roots/443/*"`, 1)))
	f.Add(uint8(1), "x", encode(f, config.RouteType, match(`"safeRegex": {"regex": "/(a|b)+"}, "headers": [{"name": ":method", "stringMatch": {"exact": "GET"}}]`)))
	f.Fuzz(func(t *testing.T, kind uint8, name string, body []byte) {
		usable(t, seedTypes[int(kind)%len(seedTypes)], name, body)
	})
}

// mutated are valid resources that are mutated, with their types and names.
func mutated(t testing.TB) (types, names []string, bodies [][]byte) {
	add := func(typeURL, name, json string) {
		types, names, bodies = append(types, typeURL), append(names, name), append(bodies, encode(t, typeURL, json))
	}
	for i, json := range seeds {
		add(seedTypes[i], "x", json)
	}
	add(config.ListenerType, "gateway/443", validPort)
	add(config.ListenerType, "x", validByName)
	add(config.RouteType, "x", validHosts)
	add(config.RouteType, "x", validAuth)
	add(config.RouteType, "x", validFiltered())
	add(config.ClusterType, "x", validTLSCluster)
	add(config.RouteType, "x", validPersistent)
	add(config.ClusterType, "x", validTraffic)
	add(config.ClusterType, "x", validDNS)
	add(config.SecretType, "certificate/a/b", validCertificate(t))
	add(config.ListenerType, "udp/127.0.0.1:53", validUDP)
	return types, names, bodies
}

// FuzzDecodeMutated: the same with valid resources in which fields were dropped, doubled, renumbered and changed, so that
// the lengths round them stay right.
func FuzzDecodeMutated(f *testing.F) {
	types, names, valid := mutated(f)
	for kind := range valid {
		for action := range uint8(mutations) {
			f.Add(uint8(kind), []byte{0, descend, 0, action, 1})
			f.Add(uint8(kind), []byte{1, descend, 0, descend, 0, action, 3})
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, ops []byte) {
		i := int(kind) % len(valid)
		body := valid[i]
		for range 4 {
			body, ops = mutate(body, ops)
		}
		usable(t, types[i], names[i], body)
	})
}

// usable decodes a resource and, where it is accepted, puts it to use.
func usable(t *testing.T, typeURL, name string, body []byte) {
	t.Helper()
	begin := time.Now()
	r, err := config.Decode(typeURL, name, "1", body)
	if err == nil {
		c := &config.Config{Clusters: map[string]*config.Cluster{}, Routes: map[string]*config.RouteTable{}}
		if r.Cluster != nil {
			c.Clusters[r.Cluster.Name] = r.Cluster
		}
		if r.Port != nil {
			c.Ports = map[uint16]*config.Port{r.Port.Number: r.Port}
			for _, cluster := range r.Port.References() {
				c.Clusters[cluster] = &config.Cluster{Name: cluster}
			}
			for _, table := range r.Port.Tables() {
				c.Routes[table] = &config.RouteTable{Name: table}
			}
		}
		if l := r.Listener; l != nil {
			c.Outbound = map[netip.AddrPort]*config.Listener{config.CatchAll(443): l}
			for _, cluster := range l.References() {
				c.Clusters[cluster] = &config.Cluster{Name: cluster}
			}
			if l.Routes != "" {
				c.Routes[l.Routes] = &config.RouteTable{Name: l.Routes}
			}
		}
		if r.Inbound != nil {
			c.Inbound = &r.Inbound.Inbound
		}
		if r.Routes != nil {
			c.Routes[r.Routes.Name] = r.Routes
			_ = config.Check(c) // backends may be missing here
			for _, reference := range r.Routes.References() {
				c.Clusters[reference] = &config.Cluster{Name: reference}
			}
		}
		if err := config.Check(c); err != nil {
			t.Errorf("everything that %q refers to is there: %v", name, err)
		}
		if err := plan.Next(nil, c).Err(); err != nil {
			t.Errorf("what was accepted cannot be compiled: %v", err)
		}
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// The things that mutate does to a field.
const (
	drop = iota
	double
	renumber
	change
	cut
	grow
	descend
	mutations
)

// mutate changes one field of a message as ops say, and returns the ops that are left. Ops are pairs: which field, and what
// is done to it.
func mutate(body, ops []byte) (out, left []byte) {
	fields := split(body)
	if len(ops) < 2 || len(fields) == 0 {
		return body, nil
	}
	at, action := int(ops[0])%len(fields), ops[1]%mutations
	ops = ops[2:]
	number, kind, n := protowire.ConsumeTag(fields[at])
	value := fields[at][n:]
	switch action {
	case drop:
		fields[at] = nil
	case double:
		fields = append(fields, fields[at])
	case renumber:
		next, rest := take(ops)
		ops = rest
		fields[at] = append(protowire.AppendTag(nil, number+protowire.Number(next), kind), value...)
	default:
		switch kind {
		case protowire.BytesType:
			inner, _ := protowire.ConsumeBytes(value)
			inner, ops = mutateBytes(inner, action, ops)
			fields[at] = protowire.AppendBytes(protowire.AppendTag(nil, number, kind), inner)
		case protowire.VarintType:
			next, rest := take(ops)
			ops = rest
			fields[at] = protowire.AppendVarint(protowire.AppendTag(nil, number, kind), uint64(next)<<(next%60))
		default: // as it is
		}
	}
	return bytes.Join(fields, nil), ops
}

func mutateBytes(inner []byte, action byte, ops []byte) (out, left []byte) {
	switch action {
	case cut:
		return inner[:len(inner)/2], ops
	case grow:
		next, rest := take(ops)
		return append(bytes.Clone(inner), bytes.Repeat([]byte{next}, int(next))...), rest
	case change:
		next, rest := take(ops)
		out = bytes.Clone(inner)
		if len(out) > 0 {
			out[int(next)%len(out)] ^= 1 + next>>4
		}
		return out, rest
	default: // descend
		return mutate(inner, ops)
	}
}

func take(ops []byte) (byte, []byte) {
	if len(ops) == 0 {
		return 0, nil
	}
	return ops[0], ops[1:]
}

// split cuts a message into its fields; nil when it is none.
func split(body []byte) (fields [][]byte) {
	for len(body) > 0 {
		_, _, n := protowire.ConsumeField(body)
		if n < 0 {
			return nil
		}
		fields, body = append(fields, body[:n]), body[n:]
	}
	return fields
}
