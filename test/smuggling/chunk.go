package smuggling

// chunked is a POST with a chunked body.
func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// Chunk sizes, extensions, line ends and trailers.
var chunks = []Case{
	{RFC: "9112 7.1", Name: "chunk size with 0x", Raw: chunked("0x1f\r\n" + hidden + "\r\n0\r\n\r\n"), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "chunk size with a sign", Raw: chunked("+0\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "negative chunk size", Raw: chunked("-1\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "space before the chunk size", Raw: chunked(" 0\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1.1", Name: "space behind the chunk size", Raw: chunked("0 \r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1.1", Name: "tab behind the chunk size", Raw: chunked("0\t\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1.1", Name: "space before a chunk extension", Raw: chunked("0 ;a\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "underscore in the chunk size", Raw: chunked("1_f\r\n" + hidden + "\r\n0\r\n\r\n"), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "empty chunk size", Raw: chunked("\r\n0\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "chunk size over 64 bits", Raw: chunked("10000000000000000\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "chunk size over 63 bits", Raw: chunked("8000000000000000\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "chunk size over 32 bits is that much", Raw: chunked("100000000\r\n\r\n0\r\n\r\n" + hidden)},
	{RFC: "9112 7.1", Name: "chunk size with many zeros", Raw: chunked(repeat("0", 40) + "\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "bare LF behind the chunk size", Raw: chunked("0\n\r\n" + hidden), Status: 400, Says: "without CR"},
	{RFC: "9112 7.1", Name: "bare CR behind the chunk size", Raw: chunked("0\r\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1.1", Name: "bare LF in a chunk extension", Raw: chunked("2;\nxx\r\n0\r\n\r\n" + hidden), Status: 400, Says: "without CR"},
	{RFC: "9112 7.1.1", Name: "bare CR in a chunk extension", Raw: chunked("2;a\rb\r\nxx\r\n0\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1.1", Name: "NUL in a chunk extension", Raw: chunked("2;\x00\r\nxx\r\n0\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1.1", Name: "line end inside quotes of a chunk extension", Raw: chunked("1f;a=\"\r\n" + hidden + "\r\n0\r\n\r\n"), Reaches: posted(hidden)},
	{RFC: "9112 7.1.1", Name: "endless chunk extension", Raw: chunked("2;" + repeat("a", 300) + "\r\nxx\r\n0\r\n\r\n" + hidden), Status: 400, Says: "256 octets"},
	{RFC: "9112 7.1.1", Name: "extension without semicolon", Raw: chunked("2 a=b\r\nxx\r\n0\r\n\r\n" + hidden), Status: 400, Says: "chunk size"},
	{RFC: "9112 7.1", Name: "chunk longer than its size", Raw: chunked("1\r\nZZ\r\n0\r\n\r\n" + hidden), Status: 400, Says: "does not end"},
	{RFC: "9112 7.1", Name: "chunk shorter than its size", Raw: chunked("5\r\nZ\r\n0\r\n\r\n" + hidden), Status: 400, Says: "does not end"},
	{RFC: "9112 7.1", Name: "chunk ends in bare LF", Raw: chunked("1\r\nZ\n0\r\n\r\n" + hidden), Status: 400, Says: "does not end"},
	{RFC: "9112 7.1", Name: "chunk ends in bare CR", Raw: chunked("1\r\nZ\rx0\r\n\r\n" + hidden), Status: 400, Says: "does not end"},
	{RFC: "9112 7.1", Name: "chunk ends in two octets of any kind", Raw: chunked("1\r\nZXX0\r\n\r\n" + hidden), Status: 400, Says: "does not end"},
	{RFC: "9112 7.1", Name: "chunk that ends nowhere", Raw: chunked("1f\r\n" + hidden)},
	{RFC: "9112 7.1.2", Name: "request for a trailer", Raw: chunked("0\r\n" + hidden), Status: 400, Says: "field name"},
	{RFC: "9112 7.1.2", Name: "folded trailer", Raw: chunked("0\r\nA: b\r\n " + hidden), Status: 400, Says: "folded"},
	{RFC: "9112 7.1.2", Name: "bare LF in the trailers", Raw: chunked("0\r\nA: b\n\n" + hidden), Status: 400, Says: "without CR"},
	{RFC: "9112 7.1.2", Name: "endless trailers", Raw: chunked("0\r\n" + repeat("A: b\r\n", 1000)), Status: 431, Says: "4 KiB"},
	{RFC: "9110 6.5.1", Name: "framing in the trailers", Raw: chunked("1f\r\n" + hidden + "\r\n0\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n"), Reaches: posted(hidden)},
	{RFC: "9112 7.1", Name: "chunk size in capitals with zeros", Raw: chunked("001F\r\n" + hidden + "\r\n00\r\n\r\n"), Reaches: posted(hidden)},
	{RFC: "9112 7.1.1", Name: "chunk extensions", Raw: chunked("1f;a=\"0\"\r\n" + hidden + "\r\n0;x\r\n\r\n"), Reaches: posted(hidden)},
}
