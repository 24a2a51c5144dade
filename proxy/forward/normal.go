package forward

import "bytes"

// normal is a path without the segments "." and ".." (RFC 3986 sections 5.2.4 and 6.2.2.3), whether they are written as dots or
// encoded: a backend might resolve them after a route has decided by the path with them. Everything else stays as it came. A path
// that has none is returned as it is.
func normal(path []byte) []byte {
	if len(path) == 0 || path[0] != '/' || !dotted(path) {
		return path
	}
	out := make([]byte, 0, len(path))
	for rest := path; len(rest) > 0; {
		var segment []byte
		segment, rest = cutSegment(rest)
		dots := countDots(segment)
		if dots == 2 {
			out = out[:max(bytes.LastIndexByte(out, '/'), 0)]
		}
		switch {
		case dots == 0:
			out = append(append(out, '/'), segment...)
		case len(rest) == 0:
			out = append(out, '/')
		}
	}
	return out
}

// cutSegment takes the first segment, without the slash in front of it.
func cutSegment(path []byte) (segment, rest []byte) {
	path = path[1:]
	if end := bytes.IndexByte(path, '/'); end >= 0 {
		return path[:end], path[end:]
	}
	return path, nil
}

// dotted tells whether a path has a segment of dots.
func dotted(path []byte) bool {
	if bytes.IndexByte(path, '.') < 0 && bytes.IndexByte(path, '%') < 0 {
		return false
	}
	for len(path) > 0 {
		var segment []byte
		if segment, path = cutSegment(path); countDots(segment) > 0 {
			return true
		}
	}
	return false
}

// countDots is 1 or 2 for a segment of so many dots and nothing else, else 0.
func countDots(segment []byte) int {
	n := 0
	for len(segment) > 0 && n < 3 {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
			segment = segment[3:]
		default:
			return 0
		}
		n++
	}
	if n > 2 {
		return 0
	}
	return n
}
