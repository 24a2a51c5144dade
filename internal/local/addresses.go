package local

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
)

// The ranges of addresses. All of 127.0.0.0/8 belongs to the loopback interface on Linux, so binding one needs no set-up.
var (
	serviceRange = netip.MustParsePrefix("127.96.0.0/16")
	podRange     = netip.MustParsePrefix("127.244.0.0/16")
	appRange     = netip.MustParsePrefix("127.245.0.0/16")
	aliasRange   = netip.MustParsePrefix("127.128.0.0/10")
)

// allocator gives each name an address of a range by the name's hash, so that an address does not change when other
// names come and go, unless two names hash alike: then the later one gets the next free address.
type allocator struct {
	salt  string
	taken map[netip.Addr]bool
}

func newAllocator(salt string) *allocator {
	return &allocator{salt: salt, taken: map[netip.Addr]bool{}}
}

func (a *allocator) next(in netip.Prefix, name string) netip.Addr {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(a.salt + name)) // never fails
	size := uint32(1) << (32 - in.Bits())
	base := in.Addr().As4()
	for offset := hash.Sum32() % size; ; offset = (offset + 1) % size {
		if last := offset & 0xff; last == 0 || last == 0xff {
			continue // they look like a network and a broadcast address
		}
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], binary.BigEndian.Uint32(base[:])+offset)
		address := netip.AddrFrom4(raw)
		if !a.taken[address] {
			a.taken[address] = true
			return address
		}
	}
}

// IsPod tells whether an address is in the range of pods.
func IsPod(address netip.Addr) bool { return podRange.Contains(address) }

// IsService tells whether an address is in the range of Services.
func IsService(address netip.Addr) bool { return serviceRange.Contains(address) }
