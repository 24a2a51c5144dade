package http2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/proxy/msg"
)

// vectors are RFC 7541 appendix C: blocks of one connection each, and what they say.
var vectors = []struct {
	name   string
	table  int
	blocks []string // in hex
	want   []string // name: value, "!" in front: never indexed
	size   int      // of the table in the end
}{
	{"C.2.1 literal with indexing", 4096, []string{"400a637573746f6d2d6b65790d637573746f6d2d686561646572"}, []string{"custom-key: custom-header"}, 55},
	{"C.2.2 literal without indexing", 4096, []string{"040c2f73616d706c652f70617468"}, []string{":path: /sample/path"}, 0},
	{"C.2.3 literal never indexed", 4096, []string{"100870617373776f726406736563726574"}, []string{"!password: secret"}, 0},
	{"C.2.4 indexed", 4096, []string{"82"}, []string{":method: GET"}, 0},
	{"C.3 requests", 4096, []string{
		"828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865", "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
	}, requestFields, 164},
	{"C.4 requests in Huffman code", 4096, []string{
		"828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
	}, requestFields, 164},
	{"C.5 responses, with evictions", 256, []string{
		"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
		"4803333037c1c0bf",
		"88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
	}, responseFields, 215},
	{"C.6 responses in Huffman code", 256, []string{
		"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
		"4883640effc1c0bf",
		"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
	}, responseFields, 215},
}

var (
	requestFields = []string{
		":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com",
		":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache",
		":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value",
	}
	responseFields = []string{
		":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com",
		":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com",
		":status: 200", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:22 GMT", "location: https://www.example.com", "content-encoding: gzip",
		"set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
	}
)

func line(name, value string, sensitive bool) string {
	if sensitive {
		return "!" + name + ": " + value
	}
	return name + ": " + value
}

func lines(s *section) (out []string) {
	for _, f := range s.fields {
		out = append(out, line(string(f.Name), string(f.Value), f.Sensitive))
	}
	return out
}

func TestRFC7541AppendixC(t *testing.T) {
	for _, v := range vectors {
		var d decoder
		d.table.max = v.table
		var got []string
		for _, block := range v.blocks {
			b, err := hex.DecodeString(block)
			if err != nil {
				t.Fatal(err)
			}
			var s section
			if err := d.decode(b, &s); err != nil {
				t.Fatalf("%s: %v", v.name, err)
			}
			got = append(got, lines(&s)...)
		}
		if fmt.Sprint(got) != fmt.Sprint(v.want) || d.table.size != v.size {
			t.Errorf("%s: %q with %d octets in the table, want %q with %d", v.name, got, d.table.size, v.want, v.size)
		}
	}
}

func TestMalformedFieldBlocks(t *testing.T) {
	for name, block := range map[string]string{
		"index 0 (6.1)":                            "80",
		"index beyond the tables (2.3.3)":          "be",
		"index beyond the tables, largest (2.3.3)": "ffffffff7f",
		"integer that is too long (5.1)":           "ff8080808000",
		"integer that is too large (5.1)":          "ffffffffffffffff7f",
		"integer that does not end (5.1)":          "ff80",
		"string that is longer than the block":     "4085",
		"string length that is too large":          "40ffffffff0f",
		"value that is missing":                    "400161",
		"name index of a literal (6.2)":            "7f40",
		"table size above the limit (6.3)":         "3fe21f",
		"table size behind a field (4.2)":          "8220",
		"Huffman padding of 8 bits (5.2)":          "40016182f8ff",
		"Huffman padding that is not ones (5.2)":   "4001618100",
		"Huffman end of string (5.2)":              "40016184ffffffff",
	} {
		b, err := hex.DecodeString(block)
		if err != nil {
			t.Fatal(err)
		}
		var d decoder
		d.table.max = tableSize
		if d.decode(b, new(section)) == nil {
			t.Errorf("%s: %s was decoded", name, block)
		}
	}
}

// FuzzDecoder compares with x/net. Input is a sequence of blocks, each behind an octet that is its length.
func FuzzDecoder(f *testing.F) {
	for _, v := range vectors {
		var seed []byte
		for _, block := range v.blocks {
			b, _ := hex.DecodeString(block)
			seed = append(append(seed, byte(len(b))), b...)
		}
		f.Add(seed)
	}
	f.Add([]byte{3, 0x3f, 0xe1, 0x1f, 1, 0x20, 4, 0x41, 0x01, 'a', 0xbe})
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		d.table.max = tableSize
		ref := hpack.NewDecoder(tableSize, nil)
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			block := in[1 : 1+n]
			in = in[1+n:]
			var s section
			if d.decode(block, &s) != nil {
				return // stricter in places: the length of integers, and where a table size may stand
			}
			if d.table.size > d.table.max || d.table.max > tableSize || len(d.table.buf) > 2*tableSize {
				t.Fatalf("table of %d octets, %d allowed, in a buffer of %d", d.table.size, d.table.max, len(d.table.buf))
			}
			fields, err := ref.DecodeFull(block)
			if err != nil {
				t.Fatalf("%x was decoded as %q, x/net says %v", block, lines(&s), err)
			}
			var want []string
			for _, f := range fields {
				want = append(want, line(f.Name, f.Value, f.Sensitive))
			}
			if got := lines(&s); !s.over && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%x: %q, x/net says %q", block, got, want)
			}
		}
	})
}

// choices turn octets of a fuzzer into fields that come again often enough to be indexed and evicted.
type choices []byte

func (c *choices) next() int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b)
}

var fuzzNames = []string{"accept", "x-request-id", "cookie", "authorization", "content-type", ":path", "x-a", "te", "set-cookie", "date", "Mixed-Case", "user-agent"}

func (c *choices) field() msg.Field {
	name := fuzzNames[c.next()%len(fuzzNames)]
	value := strings.Repeat(string(rune('a'+c.next()%4)), []int{0, 1, 10, 100, 1000, 3000}[c.next()%6])
	return msg.Field{Name: []byte(name), Value: []byte(value), Sensitive: c.next()%8 == 0}
}

// FuzzEncoder lets x/net, and our own decoder, read what the encoder writes while the peer changes its table's size.
func FuzzEncoder(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Add(bytes.Repeat([]byte{0, 3, 2, 3, 1}, 40))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := choices(in)
		var e encoder
		var d decoder
		e.table.max, d.table.max = tableSize, tableSize
		ref := hpack.NewDecoder(tableSize, nil)
		for len(c) > 0 {
			for range c.next() % 3 {
				size := uint32([]int{0, 64, 200, 1000, 4096, 1 << 20}[c.next()%6])
				e.limit(size)
			}
			block := e.begin(nil)
			var want []string
			for range c.next() % 8 {
				field := c.field()
				block = e.field(block, &field)
				name := strings.ToLower(string(field.Name))
				want = append(want, line(name, string(field.Value), field.Sensitive || secret([]byte(name))))
			}
			fields, err := ref.DecodeFull(block)
			if err != nil {
				t.Fatalf("x/net does not read %x: %v", block, err)
			}
			var got []string
			for _, f := range fields {
				got = append(got, line(f.Name, f.Value, f.Sensitive))
			}
			var s section
			if err := d.decode(block, &s); err != nil {
				t.Fatalf("our decoder does not read %x: %v", block, err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(lines(&s)) != fmt.Sprint(want) {
				t.Fatalf("wrote %q, x/net reads %q, we read %q", want, got, lines(&s))
			}
			if d.table.size != e.table.size || d.table.len() != e.table.len() || e.table.size > e.table.max {
				t.Fatalf("tables of %d and %d octets, %d allowed", e.table.size, d.table.size, e.table.max)
			}
		}
	})
}

// FuzzForeignEncoder reads what x/net's encoder writes, in Huffman code and with changes of the table's size.
func FuzzForeignEncoder(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := choices(in)
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		var d decoder
		d.table.max = tableSize
		for len(c) > 0 {
			for range c.next() % 3 {
				enc.SetMaxDynamicTableSize(uint32([]int{0, 64, 200, 1000, 4096}[c.next()%5]))
			}
			block.Reset()
			var want []string
			for range 1 + c.next()%8 {
				field := c.field()
				if err := enc.WriteField(hpack.HeaderField{Name: string(field.Name), Value: string(field.Value), Sensitive: field.Sensitive}); err != nil {
					t.Fatal(err)
				}
				want = append(want, line(string(field.Name), string(field.Value), field.Sensitive))
			}
			var s section
			if err := d.decode(block.Bytes(), &s); err != nil {
				t.Fatalf("%x: %v", block.Bytes(), err)
			}
			if got := lines(&s); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	})
}

// What may be guessed by watching sizes never enters a table, and keeps its mark for the next hop.
func TestSecretsAreNeverIndexed(t *testing.T) {
	var e encoder
	e.table.max = tableSize
	ref := hpack.NewDecoder(tableSize, nil)
	for range 3 {
		block := e.begin(nil)
		for _, f := range []msg.Field{
			{Name: []byte("Authorization"), Value: []byte("Bearer x")}, {Name: []byte("cookie"), Value: []byte("a=b")},
			{Name: []byte("x-key"), Value: []byte("k"), Sensitive: true},
		} {
			block = e.field(block, &f)
		}
		fields, err := ref.DecodeFull(block)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			if !f.Sensitive {
				t.Errorf("%v may be indexed", f)
			}
		}
	}
	if e.table.len() != 0 {
		t.Errorf("%d entries", e.table.len())
	}
}
