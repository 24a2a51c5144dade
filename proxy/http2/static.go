package http2

// static is the static table (RFC 7541 appendix A); index 0 is not used.
var static = [62]struct{ name, value []byte }{
	1:  {name: []byte(":authority")},
	2:  {[]byte(":method"), []byte("GET")},
	3:  {[]byte(":method"), []byte("POST")},
	4:  {[]byte(":path"), []byte("/")},
	5:  {[]byte(":path"), []byte("/index.html")},
	6:  {[]byte(":scheme"), []byte("http")},
	7:  {[]byte(":scheme"), []byte("https")},
	8:  {[]byte(":status"), []byte("200")},
	9:  {[]byte(":status"), []byte("204")},
	10: {[]byte(":status"), []byte("206")},
	11: {[]byte(":status"), []byte("304")},
	12: {[]byte(":status"), []byte("400")},
	13: {[]byte(":status"), []byte("404")},
	14: {[]byte(":status"), []byte("500")},
	15: {name: []byte("accept-charset")},
	16: {[]byte("accept-encoding"), []byte("gzip, deflate")},
	17: {name: []byte("accept-language")},
	18: {name: []byte("accept-ranges")},
	19: {name: []byte("accept")},
	20: {name: []byte("access-control-allow-origin")},
	21: {name: []byte("age")},
	22: {name: []byte("allow")},
	23: {name: []byte("authorization")},
	24: {name: []byte("cache-control")},
	25: {name: []byte("content-disposition")},
	26: {name: []byte("content-encoding")},
	27: {name: []byte("content-language")},
	28: {name: []byte("content-length")},
	29: {name: []byte("content-location")},
	30: {name: []byte("content-range")},
	31: {name: []byte("content-type")},
	32: {name: []byte("cookie")},
	33: {name: []byte("date")},
	34: {name: []byte("etag")},
	35: {name: []byte("expect")},
	36: {name: []byte("expires")},
	37: {name: []byte("from")},
	38: {name: []byte("host")},
	39: {name: []byte("if-match")},
	40: {name: []byte("if-modified-since")},
	41: {name: []byte("if-none-match")},
	42: {name: []byte("if-range")},
	43: {name: []byte("if-unmodified-since")},
	44: {name: []byte("last-modified")},
	45: {name: []byte("link")},
	46: {name: []byte("location")},
	47: {name: []byte("max-forwards")},
	48: {name: []byte("proxy-authenticate")},
	49: {name: []byte("proxy-authorization")},
	50: {name: []byte("range")},
	51: {name: []byte("referer")},
	52: {name: []byte("refresh")},
	53: {name: []byte("retry-after")},
	54: {name: []byte("server")},
	55: {name: []byte("set-cookie")},
	56: {name: []byte("strict-transport-security")},
	57: {name: []byte("transfer-encoding")},
	58: {name: []byte("user-agent")},
	59: {name: []byte("vary")},
	60: {name: []byte("via")},
	61: {name: []byte("www-authenticate")},
}

// Indexes into the static table that the encoder uses by name.
const (
	staticAuthority   = 1
	staticGet         = 2
	staticPost        = 3
	staticMethod      = 2
	staticPath        = 4
	staticHTTP        = 6
	staticHTTPS       = 7
	staticStatus      = 8
	staticLength      = 28
	firstDynamicIndex = 62
)

// staticNames finds the first static entry of a regular field name.
var staticNames = func() map[string]uint8 {
	m := map[string]uint8{}
	for i := len(static) - 1; i > 14; i-- {
		m[string(static[i].name)] = uint8(i)
	}
	return m
}()

// staticStatusOf finds the static entry of a status; 0: there is none.
func staticStatusOf(status int) uint64 {
	switch status {
	case 200:
		return 8
	case 204:
		return 9
	case 206:
		return 10
	case 304:
		return 11
	case 400:
		return 12
	case 404:
		return 13
	case 500:
		return 14
	}
	return 0
}
