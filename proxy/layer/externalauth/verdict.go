package externalauth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/grpc"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

const (
	// forbidden is the status of a refusal that names none, or one that says anything else than no.
	forbidden = 403
	// maxCheckAnswer bounds an answer of gRPC: headers, and a page for the client.
	maxCheckAnswer = 256 << 10
	// maxChanges bounds the headers and parameters that one answer changes.
	maxChanges = 200
)

// Answer is what a server has answered, in memory that stays.
type Answer struct {
	Status           int
	Fields, Trailers msg.Fields
	Body             []byte // the first MaxAnswer octets of it
	Whole            bool   // Body is all of it
}

// MaxAnswer is how much of a server's answer is read.
func (p *Policy) MaxAnswer() int {
	if p.Config.GRPC {
		return frameHead + maxCheckAnswer
	}
	return config.MaxAuthRefusal
}

// Verdict is what becomes of a request. It is the layer that changes it, and its response.
type Verdict struct {
	Allowed bool
	// Status, Fields and Body are the answer to the client of a request that is not allowed.
	Status int
	Fields msg.Fields
	Body   []byte

	request, response []change
	parameters        []parameter
}

// change is what happens to one header.
type change struct {
	action      action
	name        string // in lower case
	bytes, text []byte
}

type action uint8

const (
	set action = iota
	add
	addIfAbsent
	setIfPresent
	remove
)

// parameter of the query; one that is removed has no value.
type parameter struct {
	name  string
	value *string
}

// errStatus is a server's answer that is a failure of its own.
var errStatus = errors.New("the authorization server failed")

// Read finds out what a server has said. An error means that it has decided nothing.
func (p *Policy) Read(a *Answer) (*Verdict, error) {
	if p.Config.GRPC {
		return readGRPC(a)
	}
	switch {
	case a.Status == 200:
		return p.yes(a.Fields)
	case a.Status >= 500:
		return nil, fmt.Errorf("%w with status %d", errStatus, a.Status)
	case a.Status < 300, a.Status == 304:
		return &Verdict{Status: forbidden}, nil // the client would read it as a yes, or as what it has kept
	}
	return &Verdict{Status: a.Status, Fields: a.Fields, Body: a.Body}, nil
}

// toRemove is a list of headers that the request loses, as servers of Envoy's protocol over HTTP have it.
const toRemove = "x-envoy-auth-headers-to-remove"

// yes copies what may be copied of the server's headers. Of several with one name, the first takes the place of the request's.
func (p *Policy) yes(fields msg.Fields) (*Verdict, error) {
	v := &Verdict{Allowed: true}
	var removed []change // whatever else is said of them
	for i := range fields {
		name := strings.ToLower(string(fields[i].Name))
		switch {
		case name == toRemove:
			for item := range strings.SplitSeq(string(fields[i].Value), ",") {
				removed = append(removed, change{action: remove, name: strings.ToLower(strings.Trim(item, " \t"))})
			}
			continue
		case p.copied == nil && strings.HasPrefix(name, "content-"), p.copied != nil && !p.copied[name]:
			continue
		}
		how := set
		if slices.ContainsFunc(v.request, func(c change) bool { return c.name == name }) {
			how = add
		}
		v.request = append(v.request, change{how, name, fields[i].Name, fields[i].Value})
	}
	v.request = append(v.request, removed...)
	return v, v.check()
}

func readGRPC(a *Answer) (*Verdict, error) {
	if a.Status != 200 {
		return nil, fmt.Errorf("%w with status %d", errStatus, a.Status)
	}
	value, ok := a.Trailers.Get("grpc-status")
	if !ok {
		value, _ = a.Fields.Get("grpc-status") // a response that is trailers only
	}
	if status, ok := grpc.ParseStatus(value); !ok || status != grpc.OK {
		return nil, fmt.Errorf("%w with grpc-status %.3q", errStatus, value)
	}
	if !a.Whole || len(a.Body) < frameHead || a.Body[0] != 0 || int(binary.BigEndian.Uint32(a.Body[1:])) != len(a.Body)-frameHead {
		return nil, errors.New("the answer is not one uncompressed message that is short enough")
	}
	v, err := parseCheck(a.Body[frameHead:])
	if err != nil {
		return nil, err
	}
	return v, v.check()
}

// check refuses an answer that would make a message malformed. What frames and routes messages is left out: it is not the server's.
func (v *Verdict) check() error {
	if len(v.request)+len(v.response)+len(v.parameters)+len(v.Fields) > maxChanges {
		return fmt.Errorf("the answer changes more than %d headers and parameters", maxChanges)
	}
	for _, list := range []*[]change{&v.request, &v.response} {
		*list = slices.DeleteFunc(*list, func(c change) bool { return framed(c.name) })
		for _, c := range *list {
			if c.action != remove && (!http1.IsToken([]byte(c.name)) || !http1.IsFieldValue(c.text)) {
				return fmt.Errorf("the answer has header %.100q, or a value of it, that is malformed", c.name)
			}
		}
	}
	v.Fields = slices.DeleteFunc(v.Fields, func(f msg.Field) bool { return framed(strings.ToLower(string(f.Name))) })
	for _, f := range v.Fields {
		if !http1.IsToken(f.Name) || !http1.IsFieldValue(f.Value) {
			return fmt.Errorf("the answer has header %.100q, or a value of it, that is malformed", f.Name)
		}
	}
	for _, q := range v.parameters {
		if !http1.IsTarget([]byte(q.name)) || strings.ContainsAny(q.name, "&=#?") || q.value != nil && (!http1.IsTarget([]byte(*q.value)) || strings.ContainsAny(*q.value, "&#")) {
			return fmt.Errorf("the answer has query parameter %.100q, or a value of it, that is malformed", q.name)
		}
	}
	return nil
}

// framed names what servers do not change.
func framed(name string) bool {
	switch name {
	case "", "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return name[0] == ':'
}

// Request changes the request that was allowed.
func (v *Verdict) Request(r *msg.Request) {
	apply(&r.Fields, v.request)
	for _, q := range v.parameters {
		r.Query = q.apply(r.Query)
		r.HasQuery = len(r.Query) > 0
	}
}

// Response changes the backend's response.
func (v *Verdict) Response(r *msg.Response) { apply(&r.Fields, v.response) }

// Responds tells whether Response does something.
func (v *Verdict) Responds() bool { return len(v.response) > 0 }

func apply(f *msg.Fields, changes []change) {
	for i := range changes {
		c := &changes[i]
		_, present := f.Get(c.name)
		switch {
		case c.action == remove:
			f.Remove(c.name)
		case c.action == set, c.action == setIfPresent && present:
			f.Set(c.name, c.bytes, c.text)
		case c.action == add, c.action == addIfAbsent && !present:
			f.Add(c.bytes, c.text)
		}
	}
}

// apply takes the parameter out of a query, and puts it at the end where it has a value.
func (q parameter) apply(query []byte) []byte {
	var out []byte
	for pair := range bytes.SplitSeq(query, []byte("&")) {
		if name, _, _ := bytes.Cut(pair, []byte("=")); len(pair) > 0 && string(name) != q.name {
			out = append(append(out, pair...), '&')
		}
	}
	if q.value != nil {
		return append(append(append(out, q.name...), '='), *q.value...)
	}
	return bytes.TrimSuffix(out, []byte("&"))
}
