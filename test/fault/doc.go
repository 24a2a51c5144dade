// Package fault breaks things on purpose: a client's and a server's sidecar, each a process of its own, with mutual TLS
// between them and the real control plane, and applications and networks that misbehave. Each scenario says what is
// broken, what clients must see and by when, that other traffic sees nothing, and that the sidecars are afterwards what
// they were before: goroutines, file descriptors and memory.
//
// Run it with make test-fault, or make test-fault-quick for smaller numbers. As root it runs in a network namespace of
// its own, and has the scenarios in which a host vanishes.
package fault
