package smuggling

// Content-Length and Transfer-Encoding against each other.
var bothLengths = []Case{
	{RFC: "9112 6.3", Name: "CL.TE", Raw: post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "both Content-Length and Transfer-Encoding"},
	{RFC: "9112 6.3", Name: "TE.CL", Raw: post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "1\r\nZ\r\n0\r\n\r\n"+hidden), Status: 400, Says: "both Content-Length and Transfer-Encoding"},
	{RFC: "9112 6.3", Name: "CL 0 with TE", Raw: get("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "both Content-Length and Transfer-Encoding"},
	{RFC: "9112 6.3", Name: "CL.TE with the length in capitals", Raw: post("CONTENT-LENGTH: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "both Content-Length and Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE in HTTP/1.0", Raw: "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, Status: 400, Says: "Transfer-Encoding in an HTTP/1.0 message"},
	{RFC: "9112 6.1", Name: "TE in HTTP/1.0 with CL and keep-alive", Raw: "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, Status: 400, Says: "Transfer-Encoding"},
}

// Transfer-Encoding in disguise (TE.TE).
var codings = []Case{
	{RFC: "9112 6.1", Name: "TE twice", Raw: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE twice, second unknown", Raw: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE twice, first unknown", Raw: post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 501, Says: "other than chunked"},
	{RFC: "9112 6.1", Name: "TE twice, first empty", Raw: post("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE xchunked", Raw: post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden), Status: 501, Says: "other than chunked"},
	{RFC: "9112 6.1", Name: "TE identity", Raw: post("Transfer-Encoding: identity\r\nContent-Length: 31\r\n", hidden), Status: 501, Says: "other than chunked"},
	{RFC: "9112 6.3", Name: "TE chunked, identity", Raw: post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE gzip, chunked", Raw: post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+hidden), Status: 501, Says: "other than chunked"},
	{RFC: "9112 6.1", Name: "TE chunked, chunked", Raw: post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"+hidden), Status: 501, Says: "other than chunked"},
	{RFC: "9112 6.1", Name: "TE empty", Raw: post("Transfer-Encoding:\r\nContent-Length: 31\r\n", hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE quoted", Raw: post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE with a parameter", Raw: post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE with a trailing comma", Raw: post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 6.1", Name: "TE with a leading comma", Raw: post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"+hidden), Status: 501, Says: "other than chunked"},
	{RFC: "9110 5.5", Name: "TE after a vertical tab", Raw: post("Transfer-Encoding: \x0bchunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "forbidden octet"},
	{RFC: "9110 5.5", Name: "TE before a form feed", Raw: post("Transfer-Encoding: chunked\x0c\r\nContent-Length: 3\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "forbidden octet"},
	{RFC: "9110 5.5", Name: "TE after NUL", Raw: post("Transfer-Encoding: \x00chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "forbidden octet"},
	{RFC: "9110 5.6.2", Name: "TE before a no-break space", Raw: post("Transfer-Encoding: chunked\xa0\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9110 5.6.2", Name: "TE with a letter that folds to k", Raw: post("Transfer-Encoding: chun\u212aed\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 5.2", Name: "TE folded", Raw: post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "malformed Transfer-Encoding"},
	{RFC: "9112 5.2", Name: "TE folded behind another field", Raw: post("A: b\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), Status: 400, Says: "folded"},
	{RFC: "9110 5.1", Name: "TE spelled with an underscore is another field", Raw: post("Transfer_Encoding: chunked\r\nContent-Length: 31\r\n", hidden), Reaches: posted(hidden)},
	{RFC: "9112 6.1", Name: "TE in capitals", Raw: post("TRANSFER-ENCODING: CHUNKED\r\n", "1f\r\n"+hidden+"\r\n0\r\n\r\n"), Reaches: posted(hidden)},
	{RFC: "9112 5.1", Name: "TE without and with white space", Raw: post("Transfer-Encoding:chunked \t\r\n", "1F\r\n"+hidden+"\r\n0\r\n\r\n"), Reaches: posted(hidden)},
}

// Content-Length in disguise.
var lengths = []Case{
	{RFC: "9112 6.3", Name: "two lengths", Raw: post("Content-Length: 0\r\nContent-Length: 31\r\n", hidden), Status: 400, Says: "more than one Content-Length"},
	{RFC: "9112 6.3", Name: "two lengths in two spellings", Raw: post("Content-Length: 31\r\ncontent-length: 0\r\n", hidden), Status: 400, Says: "more than one Content-Length"},
	{RFC: "9112 6.3", Name: "two equal lengths", Raw: post("Content-Length: 31\r\nContent-Length: 31\r\n", hidden), Status: 400, Says: "more than one Content-Length"},
	{RFC: "9112 6.3", Name: "length list", Raw: post("Content-Length: 0, 31\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9112 6.3", Name: "list of equal lengths", Raw: post("Content-Length: 31, 31\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "plus sign", Raw: post("Content-Length: +0\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "minus sign", Raw: post("Content-Length: -0\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "hex length", Raw: post("Content-Length: 0x1f\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "fraction", Raw: post("Content-Length: 0.0\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "exponent", Raw: post("Content-Length: 3e1\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "underscore in the length", Raw: post("Content-Length: 3_1\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "quoted length", Raw: post("Content-Length: \"31\"\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "empty length", Raw: post("Content-Length:\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "space in the length", Raw: post("Content-Length: 3 1\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "word behind the length", Raw: post("Content-Length: 31 bytes\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "length over 64 bits", Raw: post("Content-Length: 18446744073709551616\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "length over 63 bits", Raw: post("Content-Length: 9223372036854775808\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9110 8.6", Name: "digits of another script", Raw: post("Content-Length: \u0663\u0661\r\n", hidden), Status: 400, Says: "malformed Content-Length"},
	{RFC: "9112 5.1", Name: "space between Content-Length and colon", Raw: post("Content-Length : 31\r\n", hidden), Status: 400, Says: "field name"},
	{RFC: "9112 5.1", Name: "white space round the length", Raw: post("Content-Length: \t31 \r\n", hidden), Reaches: posted(hidden)},
	{RFC: "9110 8.6", Name: "leading zeros in the length", Raw: post("Content-Length: 0031\r\n", hidden), Reaches: posted(hidden)},
	{RFC: "9110 5.1", Name: "length spelled with an underscore is another field", Raw: post("Content_Length: 0\r\nContent-Length: 31\r\n", hidden), Reaches: posted(hidden)},
	{RFC: "9112 6.3", Name: "body behind GET", Raw: get("Content-Length: 31\r\n", hidden), Reaches: got(hidden)},
	{RFC: "9112 6.3", Name: "chunked body behind GET", Raw: get("Transfer-Encoding: chunked\r\n", "1f\r\n"+hidden+"\r\n0\r\n\r\n"), Reaches: got(hidden)},
	{RFC: "9112 6.3", Name: "body that ends early", Raw: post("Content-Length: 32\r\n", hidden)},
}
