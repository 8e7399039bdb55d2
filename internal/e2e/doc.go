// Package e2e runs usher as it is deployed: a real XMPP client connects to a real Prosody, whose modules ask a real
// verifier. The tests in this folder are scripts of what a client sends and sees, run on Prosody 0.12 and 13.
//
//	func TestJoin_ATokenOpensTheRoomThatItNames(t *testing.T) {
//		e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
//			s := e2e.Start(t, release, e2e.Setup{})
//			alice := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"room": "daily"})})
//			alice.MustJoin("daily", "alice")
//			refused := alice.MustBeRefused("other", "alice")
//			if refused.JitsiCode != "room-mismatch" { … }
//		})
//	}
//
// Everything that Start starts is stopped with the test, and its log is printed where the test failed. Nothing here
// waits for a time to pass; wait for what you mean:
//
//   - [Visitor.Expect] for a stanza (what another Expect passed over is still there), Visitor.Ended for the stream's end;
//   - [Gate.Hold], [Gate.Arrived] and [Gate.Release] where a verifier has to be slow: the gate stands between
//     Prosody and the verifier, keeps each question, and can answer in the verifier's place;
//   - s.Prosody.Log.Wait and s.Verifier.Log.Wait for a line;
//   - [Stack.Lua] to look at sessions and rooms from inside Prosody;
//   - s.Verifier.Freeze(ctx), .Thaw(), .Stop(), .Kill() and .Restart(ctx) for its failures.
//
// The packages below have no test code in them, so that the demo uses them as well: prosody, verifier, redisserver
// (each starts one real server on free loopback ports), client (plain XMPP), proc (processes, logs, ports).
package e2e
