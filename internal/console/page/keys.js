
// The keys that tokens are verified with, and the sources that have none.

async function showKeys(view, signal) {
	const { items } = await ask("GET", "/v1/keys", undefined, signal);
	const list = table([
		["Profile", (key) => shown(key.profile)], ["Issuer", (key) => shown(key.issuer)], ["kid", (key) => shown(key.kid, { class: "mono" })],
		["Type", (key) => [key.type, key.curve || key.bits, key.alg].filter(Boolean).join(" ")],
		["Source", (key) => [key.source, " ", shown(key.where, { class: "faint" })]],
		["Fetched (UTC)", (key) => when(key.fetched_at), "when"], ["Not after (UTC)", (key) => when(key.not_after), "when"],
		["What to do", (key) => key.id && session.may("revoke") && make("a", { href: address("revocations", { selector: "kid", value: key.id, issuer: key.issuer }) }, "Revoke…")],
		["Last error", (key) => shown(key.last_error, { class: "deny" })],
	], "Keys");
	list.add(items);
	view.append(make("h2", {}, "Keys"), list.element);
}
