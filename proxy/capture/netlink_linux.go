package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Netlink is the kernel's nftables in the network namespace of the calling thread. Changing it needs CAP_NET_ADMIN.
type Netlink struct{}

var hooks = map[Hook]*nftables.ChainHook{
	Output:     nftables.ChainHookOutput,
	Prerouting: nftables.ChainHookPrerouting,
}

// interfaceKey is the meta key that Rule.Interface means at a hook.
var interfaceKey = map[Hook]expr.MetaKey{Output: expr.MetaKeyOIFNAME, Prerouting: expr.MetaKeyIIFNAME}

// Apply replaces the table in one transaction: a connection meets the old rules or the new ones, never none.
func (Netlink) Apply(t Table) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: t.Name, Family: nftables.TableFamilyINet}
	// Deleting what does not exist fails, so it is made first.
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	for _, c := range t.Chains {
		accept := nftables.ChainPolicyAccept
		chain := conn.AddChain(&nftables.Chain{
			Name: c.Name, Table: table, Type: nftables.ChainTypeNAT, Hooknum: hooks[c.Hook],
			Priority: nftables.ChainPriorityNATDest, Policy: &accept,
		})
		for _, rule := range c.Rules {
			conn.AddRule(&nftables.Rule{
				Table: table, Chain: chain, Exprs: encode(rule, c.Hook),
				UserData: userdata.AppendString(nil, userdata.TypeComment, rule.Why),
			})
		}
	}
	return conn.Flush()
}

// Read reads the table back from the kernel.
func (Netlink) Read(name string) (Table, error) {
	conn, err := nftables.New()
	if err != nil {
		return Table{}, err
	}
	table, err := conn.ListTableOfFamily(name, nftables.TableFamilyINet)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return Table{}, ErrNoTable
		}
		return Table{}, err
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return Table{}, err
	}
	found := Table{Name: name}
	for _, c := range chains {
		if c.Table.Name != name {
			continue
		}
		chain := Chain{Name: c.Name}
		for hook, number := range hooks {
			if c.Hooknum != nil && *c.Hooknum == *number {
				chain.Hook = hook
			}
		}
		rules, err := conn.GetRules(table, c)
		if err != nil {
			return Table{}, fmt.Errorf("chain %s: %w", c.Name, err)
		}
		for _, r := range rules {
			rule, err := decode(r.Exprs, chain.Hook)
			if err != nil {
				return Table{}, fmt.Errorf("chain %s: rule %d: %w", c.Name, r.Handle, err)
			}
			rule.Why, _ = userdata.GetString(r.UserData, userdata.TypeComment)
			chain.Rules = append(chain.Rules, rule)
		}
		found.Chains = append(found.Chains, chain)
	}
	return found, nil
}

const register = 1

func load(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: register} }

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

// encode writes a rule in the expressions that nft itself would write.
func encode(r Rule, hook Hook) []expr.Any {
	var out []expr.Any
	if r.UID != 0 {
		out = append(out, load(expr.MetaKeySKUID), equal(binaryutil.NativeEndian.PutUint32(r.UID)))
	}
	if r.Interface != "" {
		out = append(out, load(interfaceKey[hook]), equal(interfaceName(r.Interface)))
	}
	if r.To.IsValid() {
		family, offset, size := byte(unix.NFPROTO_IPV4), uint32(16), 4
		if r.To.Addr().Is6() {
			family, offset, size = unix.NFPROTO_IPV6, 24, 16
		}
		out = append(out, load(expr.MetaKeyNFPROTO), equal([]byte{family}),
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(size)},
			&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(size), Mask: mask(r.To.Bits(), size), Xor: make([]byte, size)},
			equal(r.To.Masked().Addr().AsSlice()))
	}
	if r.Port != 0 || r.Redirect != 0 {
		out = append(out, load(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}))
	}
	if r.Port != 0 {
		out = append(out, &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			equal(binaryutil.BigEndian.PutUint16(r.Port)))
	}
	if r.Redirect != 0 {
		return append(out, &expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(r.Redirect)},
			&expr.Redir{RegisterProtoMin: register})
	}
	return append(out, &expr.Verdict{Kind: expr.VerdictReturn})
}

// decode reads what encode wrote, and refuses everything else.
func decode(exprs []expr.Any, hook Hook) (Rule, error) {
	var r Rule
	var loaded expr.Any // what the register holds
	var prefixLength int
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Meta, *expr.Payload:
			loaded = e
		case *expr.Bitwise:
			prefixLength = ones(e.Mask)
		case *expr.Immediate:
			r.Redirect = binary.BigEndian.Uint16(e.Data)
		case *expr.Redir:
		case *expr.Verdict:
			if e.Kind != expr.VerdictReturn {
				return r, fmt.Errorf("verdict %d is not ours", e.Kind)
			}
		case *expr.Cmp:
			if err := r.compare(loaded, e.Data, prefixLength, hook); err != nil {
				return r, err
			}
		default:
			return r, fmt.Errorf("expression %T is not ours", e)
		}
	}
	return r, nil
}

func (r *Rule) compare(loaded expr.Any, data []byte, prefixLength int, hook Hook) error {
	switch l := loaded.(type) {
	case *expr.Meta:
		switch l.Key {
		case expr.MetaKeySKUID:
			r.UID = binaryutil.NativeEndian.Uint32(data)
		case interfaceKey[hook]:
			r.Interface = string(bytes.TrimRight(data, "\x00"))
		case expr.MetaKeyNFPROTO, expr.MetaKeyL4PROTO: // implied by To and Port
		default:
			return fmt.Errorf("meta key %d is not ours", l.Key)
		}
		return nil
	case *expr.Payload:
		if l.Base == expr.PayloadBaseTransportHeader {
			r.Port = binary.BigEndian.Uint16(data)
			return nil
		}
		address, ok := netip.AddrFromSlice(data)
		if !ok {
			return fmt.Errorf("address of %d bytes", len(data))
		}
		r.To = netip.PrefixFrom(address, prefixLength)
		return nil
	}
	return errors.New("comparison with nothing")
}

func interfaceName(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}

func mask(bits, size int) []byte {
	m := make([]byte, size)
	for i := range bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}

func ones(mask []byte) int {
	n := 0
	for _, b := range mask {
		for ; b != 0; b <<= 1 {
			n++
		}
	}
	return n
}
