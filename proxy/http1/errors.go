package http1

// Error says what is wrong with a message. Status is what a server answers when the message was a request; a client
// treats any of them as a broken response.
type Error struct {
	Status int
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// The refusals. Values, not constructors: refusing must not allocate.
var (
	ErrBareLF          = &Error{400, "a line ends without CR before LF"}
	ErrBareCR          = &Error{400, "CR without LF"}
	ErrRequestLine     = &Error{400, "malformed request line"}
	ErrMethod          = &Error{400, "malformed method"}
	ErrTarget          = &Error{400, "malformed request target"}
	ErrLineTooLong     = &Error{414, "request line is longer than 32 KiB"}
	ErrVersion         = &Error{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"}
	ErrHeadTooLarge    = &Error{431, "header block is larger than 128 KiB"}
	ErrTooManyFields   = &Error{431, "more than 200 header fields"}
	ErrFieldName       = &Error{400, "malformed header field name"}
	ErrFieldValue      = &Error{400, "forbidden octet in a header field value"}
	ErrFold            = &Error{400, "folded header field"}
	ErrHostMissing     = &Error{400, "Host header field missing"}
	ErrHostDuplicate   = &Error{400, "more than one Host header field"}
	ErrHost            = &Error{400, "malformed Host header field"}
	ErrLength          = &Error{400, "malformed Content-Length"}
	ErrLengthDuplicate = &Error{400, "more than one Content-Length"}
	ErrLengthAndCoding = &Error{400, "both Content-Length and Transfer-Encoding"}
	ErrCoding          = &Error{400, "malformed Transfer-Encoding"}
	ErrCodingUnknown   = &Error{501, "a transfer coding other than chunked"}
	ErrCodingOld       = &Error{400, "Transfer-Encoding in an HTTP/1.0 message"}
	ErrConnection      = &Error{400, "malformed Connection header field"}
	ErrConnectBody     = &Error{400, "CONNECT with a body"}
	ErrExpect          = &Error{417, "an expectation other than 100-continue"}
	ErrChunkSize       = &Error{400, "malformed chunk size"}
	ErrChunkLine       = &Error{400, "chunk size line is longer than 256 octets"}
	ErrChunkEnd        = &Error{400, "chunk data does not end where its size says"}
	ErrTrailersLarge   = &Error{431, "trailer section is larger than 4 KiB"}
	ErrStatusLine      = &Error{502, "malformed status line"}
)
