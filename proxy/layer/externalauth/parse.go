package externalauth

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leno-mesh/leno/proxy/config"
)

// part is one field of a message.
type part struct {
	number protowire.Number
	value  uint64 // varint
	bytes  []byte // length-delimited
}

// each calls f for the fields of a message that are numbers, texts and messages; others are none of the protocol's.
func each(b []byte, f func(part) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		p := part{number: number}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			p.value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			p.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

func malformed(n int) error {
	return fmt.Errorf("the answer is no protobuf message: %w", protowire.ParseError(n))
}

// parseCheck reads an envoy.service.auth.v3.CheckResponse. Metadata, which is for other filters of Envoy, is read over.
func parseCheck(b []byte) (*Verdict, error) {
	var code uint64
	yes, no := &Verdict{Allowed: true}, &Verdict{Status: forbidden}
	failed := false
	err := each(b, func(p part) error {
		switch p.number {
		case 1: // status
			return each(p.bytes, func(p part) error {
				if p.number == 1 {
					code = p.value
				}
				return nil
			})
		case 2: // denied_response
			return no.denied(p.bytes)
		case 3: // ok_response
			return yes.ok(p.bytes)
		case 5: // error_response
			failed = true
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case code == 0:
		return yes, nil
	case failed:
		return nil, fmt.Errorf("%w, as it says itself", errStatus)
	}
	return no, nil
}

// denied reads a DeniedHttpResponse.
func (v *Verdict) denied(b []byte) error {
	return each(b, func(p part) error {
		switch p.number {
		case 1: // status
			return each(p.bytes, func(p part) error {
				if p.number == 1 && p.value >= 300 && p.value <= 599 && p.value != 304 {
					v.Status = int(p.value)
				}
				return nil
			})
		case 2: // headers
			c, err := header(p.bytes)
			if err != nil {
				return err
			}
			apply(&v.Fields, []change{c})
		case 3:
			v.Body = p.bytes[:min(len(p.bytes), config.MaxAuthRefusal)]
		}
		return nil
	})
}

// ok reads an OkHttpResponse.
func (v *Verdict) ok(b []byte) error {
	return each(b, func(p part) error {
		switch p.number {
		case 2, 6: // headers, response_headers_to_add
			c, err := header(p.bytes)
			if err != nil {
				return err
			}
			if p.number == 2 {
				v.request = append(v.request, c)
			} else {
				v.response = append(v.response, c)
			}
		case 5: // headers_to_remove
			v.request = append(v.request, change{action: remove, name: strings.ToLower(string(p.bytes))})
		case 7: // query_parameters_to_set
			q, value := parameter{}, ""
			q.value = &value
			err := each(p.bytes, func(p part) error {
				switch p.number {
				case 1:
					q.name = string(p.bytes)
				case 2:
					value = string(p.bytes)
				}
				return nil
			})
			v.parameters = append(v.parameters, q)
			return err
		case 8: // query_parameters_to_remove
			v.parameters = append(v.parameters, parameter{name: string(p.bytes)})
		}
		return nil
	})
}

// header reads an envoy.config.core.v3.HeaderValueOption. Its older field append is false here unless it is set, so that the first of
// the newer actions, to append, is not meant by itself.
func header(b []byte) (change, error) {
	var c change
	appends, action := false, uint64(0)
	err := each(b, func(p part) error {
		switch p.number {
		case 1: // header
			return each(p.bytes, func(p part) error {
				switch p.number {
				case 1:
					c.bytes, c.name = p.bytes, strings.ToLower(string(p.bytes))
				case 2, 3: // value, raw_value
					c.text = p.bytes
				}
				return nil
			})
		case 2: // append
			return each(p.bytes, func(p part) error {
				appends = p.number == 1 && p.value != 0
				return nil
			})
		case 3:
			action = p.value
		}
		return nil
	})
	switch {
	case action == 1:
		c.action = addIfAbsent
	case action == 3:
		c.action = setIfPresent
	case action == 0 && appends:
		c.action = add
	default:
		c.action = set
	}
	return c, err
}
