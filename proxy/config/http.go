package config

import "google.golang.org/protobuf/encoding/protowire"

// httpOptions is the key, and the name of the message, by which a cluster says which version of HTTP its endpoints get.
const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// httpVersion reads a cluster's typed_extension_protocol_options. Without any, endpoints get what the client speaks.
func (m *message) httpVersion() HTTPVersion {
	version := SameHTTP
	for _, entry := range m.subs(36, "typed_extension_protocol_options") {
		key := entry.text(1, "key")
		kind, options := entry.anything(2, "value")
		entry.done()
		if key != httpOptions || kind != httpOptions {
			entry.fail("is %q of type %q, which this proxy does not support", key, kind)
			continue
		}
		version = decodeHTTPOptions(options)
	}
	return version
}

// decodeHTTPOptions reads an envoy.extensions.upstreams.http.v3.HttpProtocolOptions.
func decodeHTTPOptions(m *message) HTTPVersion {
	defer m.done()
	m.ignore(1) // common_http_protocol_options: the proxy's own limits
	if m.has(5) {
		m.fail("field auto_config is set: this proxy supports explicit_http_config and use_downstream_protocol_config")
	}
	if m.has(3) == m.has(4) {
		m.fail("has not exactly one of explicit_http_config and use_downstream_protocol_config")
	}
	if same := m.sub(4, "use_downstream_protocol_config"); same != nil {
		same.http1Options(1)
		same.http2Options(2)
		if !same.has(1) || !same.has(2) {
			same.fail("does not allow both HTTP/1.1 and HTTP/2")
		}
		same.refuseHTTP3()
		same.done()
		return SameHTTP
	}
	explicit := m.sub(3, "explicit_http_config")
	defer explicit.done()
	explicit.refuseHTTP3()
	switch {
	case explicit.has(1) == explicit.has(2):
		explicit.fail("has not exactly one of http_protocol_options and http2_protocol_options")
	case explicit.has(1):
		explicit.http1Options(1)
		return HTTP1Only
	}
	explicit.http2Options(2)
	return HTTP2Only
}

func (m *message) refuseHTTP3() {
	if m.has(3) {
		m.fail("field http3_protocol_options is set: this proxy speaks HTTP/1.1 and HTTP/2")
	}
}

// http1Options reads an envoy.config.core.v3.Http1ProtocolOptions.
func (m *message) http1Options(number protowire.Number) {
	options := m.sub(number, "http_protocol_options")
	options.ignore(5) // enable_trailers: they are always passed on
	options.done()
}

// http2Options reads an envoy.config.core.v3.Http2ProtocolOptions.
func (m *message) http2Options(number protowire.Number) {
	options := m.sub(number, "http2_protocol_options")
	options.ignore(
		5,  // allow_connect: extended CONNECT is always taken
		14, // override_stream_error_on_invalid_http_message: a malformed message always ends its stream only
	)
	options.done()
}
