// Package sock makes the sockets of the data path cheaper than package net does.
//
// The sockets stay with Go's network poller: deadlines, closing and waiting are its business. Only the calls that move
// bytes are made here, and without telling the scheduler. They never block, and the scheduler's book-keeping round a
// call that might would cost more than a small read itself. On a machine that rests between requests it costs a second
// thread on top: each announced call wakes the runtime's monitor, which then looks around every 20 µs for a while.
package sock
