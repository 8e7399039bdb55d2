package audit

import (
	"encoding/hex"
	"fmt"
	"testing"
)

// Later versions read what stores hold, and older ones run beside them: a tag of another meaning shows one thing as another,
// and a value that is hashed otherwise is not found. Who must change one of these first gives each store another number
// (docs/architecture.md, "What outlives a version").
func TestRow_IsTheSameInEveryVersion(t *testing.T) {
	e := full()
	e.ID = "01JDEXAMP0E0000000000000A1"
	e.Time, _ = idTime(e.ID)
	row := Pack(nil, &e)
	o, err := Hasher(7).Outline(row)
	if err != nil {
		t.Fatal(err)
	}
	last := Event{Time: noon, Kind: Admin, Verdict: Unavailable, Stage: "recheck", Alg: "EdDSA", RemoteIP: "2001:db8::1"}
	other := Event{Time: noon, ID: "x", Kind: "novel", Stage: "later", Alg: "XX1", RemoteIP: "unix:@"}
	p := NewPseudonyms([]byte("key"))
	for _, is := range []struct{ what, got, was string }{
		{"an event", hex.EncodeToString(row), "01f0432a01935dd552c07000000000000000014101066e6f64652d3102106d6565742e6578616d706c652e636f6d030764656661756c7404086332733535643066050d726f6f6d5f6d69736d61746368061874686520636c61696d206f70656e7320612c206e6f74206207066d792d61707008106d6565742e6578616d706c652e636f6d0904752d31370a034164610b0f616461406578616d706c652e636f6d0c245b61636d655d7374616e64757040636f6e666572656e63652e6578616d706c652e636f6d0d0461636d650e04306131620f06323032362d61140b4d6f7a696c6c612f352e30150a637265643a736f632d3116027231170264311807656a65637465641010010203000000000000000000000000091104c0000207"},
		{"an event with the last of each list", hex.EncodeToString(Pack(nil, &last)), "011cd40001a20d6d5a7b121020010db8000000000000000000000001"},
		{"an event that is on no list", hex.EncodeToString(Pack(nil, &other)), "0107ff0001a20d6d5a7b1901781a056e6f76656c1b056c617465721c035858311306756e69783a40"},
		{"a frame of the spill", hex.EncodeToString(appendFrame(nil, firstK(noon.UnixMilli()), []byte("row"))), "030000004fb6e7e20000c09e565b8368726f77"},
		{"the hashes of an event's terms", fmt.Sprintf("%x", o.Hash), "[47e81ba 55f09b0d 123761b8 446c5676 ff2f038d]"},
		{"a user's pseudonym", p.User("ada"), "p1:4iuq3e7ni4fhv76xvxog5gz7"},
		{"an address's pseudonym", p.Address("192.0.2.7"), "p1:i2bwkz2okymiutq45pn3ujuk"},
	} {
		if is.got != is.was {
			t.Errorf("%s is stored as\n%s, and was as\n%s", is.what, is.got, is.was)
		}
	}
}
