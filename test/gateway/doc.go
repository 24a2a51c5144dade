// Package gateway tests gateways in one process: a mesh of nouns, ADS and enrolment over TLS on loopback, the real proxy of a
// gateway, and backends that are functions of the test. It needs neither root nor a cluster.
package gateway
