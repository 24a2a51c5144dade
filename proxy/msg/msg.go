// Package msg holds what every layer of the proxy sees of a request and of a response: heads whose parts are views
// into a codec's buffer, and how long the body is. It knows no protocol version beyond what a peer announced, so
// that each codec fills the same structs.
package msg

// BodyKind says how a body's end is found.
type BodyKind uint8

// The kinds of body.
const (
	NoBody     BodyKind = iota // nothing follows the head, and no length is announced
	Sized                      // Body.Length bytes, possibly 0
	Chunked                    // the end is marked in the stream; trailers may follow
	UntilClose                 // the end of the connection is the end of the body (responses only)
)

// Body is how the body is delimited. HTTP/1.1 framing fields are never among the Fields: codecs take them out when
// they read and write them anew from this, so that two readers of one message cannot disagree.
type Body struct {
	Kind   BodyKind
	Length int64
}

// Request is the head of a request. All byte slices are views, valid until the codec's buffer is used again; layers
// may replace them by other slices that live as long, but never write into them.
type Request struct {
	Method    []byte
	Authority []byte // host, or host:port, as the client wrote it
	Path      []byte // without query; "*" for OPTIONS *
	Query     []byte // without "?"
	HasQuery  bool   // tells "/a?" from "/a"
	Fields    Fields
	Body      Body

	Minor    uint8  // minor version of HTTP/1
	Close    bool   // the peer wants the connection closed after this exchange
	Upgrade  []byte // protocol asked for, nil if none
	Continue bool   // Expect: 100-continue
	Trailers bool   // TE: trailers

	// Scratch is room for layers that build a new value; whoever uses it stores the grown slice back.
	Scratch []byte
}

// Reset empties r and keeps its memory.
func (r *Request) Reset() {
	*r = Request{Fields: r.Fields[:0], Scratch: r.Scratch[:0]}
}

// Response is the head of a response, with the same rules as Request.
type Response struct {
	Status int
	Reason []byte
	Fields Fields
	Body   Body
	// Announced is the Content-Length of a response that has no body because of its request or status (HEAD, 304);
	// -1: none.
	Announced int64

	Minor   uint8
	Close   bool
	Upgrade []byte
}

// Reset empties r and keeps its memory.
func (r *Response) Reset() {
	*r = Response{Fields: r.Fields[:0], Announced: -1}
}
