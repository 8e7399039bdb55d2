
// One event: what happened, why, what to do, and where to go from there.

const checkSaid = {
	load: "The token was not looked at: the verifier, or the address that asked, had too much going on.",
	profile: "No token was looked at: the question itself failed, because of its profile.",
};

function told(event) {
	const known = reasons[event.reason];
	const lines = [[verdict(event), event.reason ? ": " + event.reason : "", event.detail ? [". ", shown(event.detail)] : ""]];
	if (known) {
		lines.push(["For the person: ", make("q", {}, known.message)],
			[checkSaid[known.check] || ["The check that failed is ", make("code", {}, known.check), "."]], ["What to do: ", known.remedy]);
	}
	if (event.kind === "decision" && event.fingerprint) {
		lines.push([event.proven ? "The token's signature was proven."
			: make("span", { class: "claimed" }, "The signature was not proven: what the token names is only what it claims, and anybody can write such a token. Do not hold it against those it names.")]);
	}
	return make("div", { class: "story " + (event.verdict || "") }, lines.map((line) => make("p", {}, line)));
}

// unfit: no token has this value, for the audit keeps it in place of one (a pseudonym, what is left of a long text), or no
// form can hold it. Revoking by it would meet nothing, or somebody else.
const unfit = (value) => /^p1:[a-z2-7]{24}$|…[0-9a-f]{16}$|[\r\n]/.test(value);

// leads are the ways on: what else there is of the same, and what can be revoked by what the event names.
function leads(event) {
	const more = [["session", event.session, "session"], ["fingerprint", event.fingerprint, "token"], ["user", event.user_id, "user"], ["room", event.room, "room"], ["ip", event.remote_ip, "address"]]
		.filter(([, value]) => value).map(([name, value, label]) => make("a", { href: address("events", { [name]: value, ...(name === "room" && event.tenant && { tenant: event.tenant }), since: "7d" }) }, "All of this " + label));
	const of = (selector, value, label) => value && ![value, selector === "token" ? "" : event.issuer].some(unfit) && make("a", { href: address("revocations", { selector, value, ...(selector !== "token" && { issuer: event.issuer }) }) }, label);
	const revoke = event.kind !== "decision" || !session.may("revoke") ? [] : [of("token", event.fingerprint, "Revoke this token…"),
		...(event.proven ? [of("jti", event.jti, "Revoke this jti…"), of("user", event.user_id, "Revoke this user's tokens…")] : [])].filter(Boolean);
	const cause = [event.revocation_id && make("a", { href: "#/revocation/" + event.revocation_id }, "The revocation"),
		event.decision_id && make("a", { href: "#/event/" + event.decision_id }, "The decision")].filter(Boolean);
	return make("div", { class: "actions" }, ...cause, ...more, ...revoke);
}

async function showEvent(view, signal, id) {
	const event = await ask("GET", "/v1/events/" + id, undefined, signal);
	view.append(make("h2", {}, event.kind + " ", make("code", {}, event.id)), told(event), leads(event), details(event));
}

// details lists all that an object has, as it has it.
function details(object) {
	return make("dl", {}, Object.entries(object).map(([name, value]) => [make("dt", {}, name), make("dd", {}, shown(typeof value === "object" ? JSON.stringify(value) : value))]));
}
