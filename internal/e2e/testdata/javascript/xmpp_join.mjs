// Logs in with a token and tries rooms. Reads its orders as JSON on stdin and writes what the library saw, one JSON
// object a line. The libraries stand where XMPP_JS says.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

const library = (file) => import(`${process.env.XMPP_JS}/node_modules/${file}`);
// What browsers and newer Nodes have.
globalThis.crypto ??= webcrypto;
globalThis.WebSocket ??= (await library("ws/wrapper.mjs")).default;
const { client, xml } = await library("@xmpp/client/index.js");
const orders = JSON.parse(readFileSync(0, "utf8"));
const say = (what) => console.log(JSON.stringify(what));

// RFC 7628, which the library leaves to its users.
class OAuthBearer {
  response({ username, password }) {
    if (this.failed) return "\x01";
    return `n,a=${username}@${orders.domain},\x01auth=Bearer ${password}\x01\x01`;
  }
  challenge() {
    this.failed = true;
    return this;
  }
}
OAuthBearer.prototype.name = "OAUTHBEARER";
OAuthBearer.prototype.clientFirst = true;

const { mechanism, service, domain, token } = orders;
const credentials = mechanism === "ANONYMOUS" ? {} : { username: "anybody", password: token };
const xmpp = client({
  service,
  domain,
  credentials: (authenticate) => authenticate(credentials, mechanism),
});
xmpp.saslFactory.use(OAuthBearer);
xmpp.reconnect.stop();

const errors = "urn:ietf:params:xml:ns:xmpp-stanzas";

// The room's answer: the self-presence, or an error.
function join(room) {
  return new Promise((answered) => {
    const read = (stanza) => {
      if (!stanza.is("presence") || !stanza.attrs.from?.startsWith(room + "/")) return;
      const error = stanza.getChild("error");
      const self = stanza.getChild("x", "http://jabber.org/protocol/muc#user")?.getChildrenByAttr("code", "110").length;
      if (!error && !self) return;
      xmpp.off("stanza", read);
      const condition = error?.children.find((c) => c.attrs?.xmlns === errors && c.name !== "text")?.name;
      answered({ room, joined: !error, condition, text: error?.getChildText("text", errors) ?? undefined });
    };
    xmpp.on("stanza", read);
    xmpp.send(xml("presence", { to: room + "/xmpp.js" }, xml("x", "http://jabber.org/protocol/muc")));
  });
}

xmpp.on("error", () => {}); // start() throws the same
try {
  await xmpp.start();
  say({ login: "done" });
  for (const room of orders.rooms ?? []) say(await join(room));
} catch (error) {
  say({ login: "refused", condition: error.condition ?? error.message, text: error.text });
}
await xmpp.stop().catch(() => {});
process.exit(0);
