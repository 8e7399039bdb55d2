package load

import "testing"

func TestAnswer_IsReadWhenAllOfItHasCome(t *testing.T) {
	const whole = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	for n := range len(whole) {
		if _, body, err := answer([]byte(whole[:n])); body != nil || err != nil {
			t.Fatalf("%q was taken for an answer: %s, %v", whole[:n], body, err)
		}
	}
	if status, body, err := answer([]byte(whole)); status != 503 || string(body) != "{}" || err != nil {
		t.Errorf("got %d %q %v", status, body, err)
	}
	if status, body, err := answer([]byte("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")); status != 200 || body == nil || len(body) != 0 || err != nil {
		t.Errorf("got %d %q %v", status, body, err)
	}
}
