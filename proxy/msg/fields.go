package msg

// Field is one field line. The name keeps the spelling of the sender.
type Field struct {
	Name, Value []byte
	// Sensitive values must not enter a compression table on any hop (RFC 7541 section 7.1.3).
	Sensitive bool
}

// Fields are field lines in the order they came. Names given to its methods are in lower case.
type Fields []Field

// Get returns the value of the first field of that name; nil and false if there is none.
func (f Fields) Get(name string) ([]byte, bool) {
	for i := range f {
		if EqualName(f[i].Name, name) {
			return f[i].Value, true
		}
	}
	return nil, false
}

// Add appends a field line of its own: several lines of one name are one list (RFC 9110 section 5.3), and Set-Cookie
// must never be joined.
func (f *Fields) Add(name, value []byte) { *f = append(*f, Field{Name: name, Value: value}) }

// Set replaces all fields of that name by one, which takes the place of the first.
func (f *Fields) Set(name string, nameBytes, value []byte) {
	list := *f
	kept, found := list[:0], false
	for i := range list {
		if !EqualName(list[i].Name, name) {
			kept = append(kept, list[i])
			continue
		}
		if !found {
			found = true
			kept = append(kept, Field{Name: list[i].Name, Value: value})
		}
	}
	if !found {
		kept = append(kept, Field{Name: nameBytes, Value: value})
	}
	*f = kept
}

// Remove drops all fields of that name.
func (f *Fields) Remove(name string) {
	list := *f
	kept := list[:0]
	for i := range list {
		if !EqualName(list[i].Name, name) {
			kept = append(kept, list[i])
		}
	}
	*f = kept
}

// EqualName compares a field name with one in lower case, without regard to ASCII case.
func EqualName(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := 0; i < len(lower); i++ {
		if Lower(name[i]) != lower[i] {
			return false
		}
	}
	return true
}

// EqualFold compares two names without regard to ASCII case.
func EqualFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range b {
		if Lower(a[i]) != Lower(b[i]) {
			return false
		}
	}
	return true
}

// Lower maps ASCII capitals to small letters and leaves every other byte.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
