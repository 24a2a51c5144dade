// Package differential gives the same xDS resources to Leno and to a real Envoy, sends both the same requests, and compares
// what clients and backends see: "make test-differential". A difference is fixed, or stands in verdicts.yaml with its reason.
//
// Clients speak HTTP/1.1, or HTTP/2 by prior knowledge; names of requests in HTTP/2 begin with "http2". Backends answer either by
// what the connection begins with, so a test sees which version they got (docs/decisions/0010). Both ends write and read bytes and
// frames themselves, so that they can be wrong, too.
//
// The resources come from the project's own translation, through its own server, over delta ADS. On the way to Envoy two
// things are changed (see relay): the server serves no wildcard, so the names that Envoy means by it are filled in; and
// outbound listeners are bound to a port of 127.0.0.1, since nothing redirects connections to them here. XBackends are on this
// machine, without TLS.
//
// What clients carry of their sessions is each plane's own; whether and how it is told, and where it leads, is compared.
package differential
