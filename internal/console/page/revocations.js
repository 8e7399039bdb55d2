
// Revoking, what is revoked, and taking it back. Nothing is done before it was shown what it would meet.

const selectors = {
	token: "this one token (itself, or its fingerprint)", jti: "tokens with this id", user: "all tokens of this user",
	kid: "tokens signed with this key", issuer: "all tokens of this issuer", room: "tokens for this room",
};

const cannotRevoke = "The role of your credential is audit: it reads what is revoked. Who revokes or lifts needs one with the role revoke or admin.";

const named = (revocation) => [make("b", {}, revocation.selector), " ", shown(revocation.value, { class: "mono" }), revocation.issuer ? [" of the issuer ", shown(revocation.issuer)] : ""];

async function showRevocations(view, signal, prefilled) {
	const list = table([
		["Made (UTC)", (revocation) => when(revocation.created_at), "when"],
		["What", named],
		["Spares tokens from (UTC)", (revocation) => when(revocation.issued_before), "when"],
		["Ends (UTC)", (revocation) => when(revocation.expires_at) || "never", "when"],
		["Reason", (revocation) => shown(revocation.reason)],
		["By", (revocation) => shown(revocation.actor)],
		["What to do", (revocation) => [make("a", { href: "#/revocation/" + revocation.id }, "Show"), " ",
			session.may("revoke") && make("button", { type: "button", onclick: (click) => guarded(() => busy(click.target, () => lift(revocation))) }, "Lift")]],
	], "Revocations", (revocation) => revocation.id);
	const older = make("button", { type: "button", hidden: true, onclick: () => guarded(() => busy(older, () => load(older.value))) }, "Older ones");
	const none = make("p", { class: "faint", hidden: true });
	const search = make("form", { class: "filters", "aria-label": "Search", onsubmit: (submit) => { submit.preventDefault(); guarded(() => busy(search, find)); } },
		field("selector", "Revoked by", "", { options: ["", ...Object.keys(selectors)] }), field("value", "Value or token", "", { size: 34 }),
		field("actor", "Revoked by whom", "", { placeholder: "cred:ada" }), make("button", { class: "main" }, "Search"));
	view.append(session.may("revoke") ? revokeForm(signal, prefilled, made) : make("p", { class: "faint" }, cannotRevoke), make("h2", {}, "In force"), search, list.element, none, make("div", { class: "actions" }, older));

	const loads = latest(signal);
	let wanted = {};

	async function load(cursor) {
		const page = await ask("GET", withParameters("/v1/revocations", { ...wanted, limit: 100, ...(cursor && { cursor }) }), undefined, loads());
		list.add(page.items);
		older.value = page.next || "";
		older.hidden = !page.next;
		none.textContent = Object.keys(wanted).length ? "Nothing that is in force fits these filters." : "Nothing is revoked.";
		none.hidden = list.size > 0;
	}

	async function find() {
		const { fingerprint, ...filters } = await withoutToken(filled(search));
		wanted = fingerprint ? { selector: "token", value: fingerprint } : filters;
		list.clear();
		older.hidden = true;
		await load();
	}

	function made(revocation) {
		list.addFirst(revocation);
		none.hidden = true;
	}

	async function lift(revocation) {
		if (!await askToLift(revocation)) return;
		list.drop(revocation);
		none.hidden = list.size > 0 || !older.hidden;
	}

	await load();
}

// said adds what a store that has not kept something safely yet leaves to be thought of.
const said = (text, answer, unsafe) => notice([text, ...(answer.replicated ? [] : ["But no replica of the store has it yet, or the store writes no log: " + unsafe]), ...(answer.cautions || [])].join(" "), !answer.replicated);

// change asks for what changes something. Where no answer comes, it may have been done all the same.
async function change(method, path, body) {
	try {
		return await ask(method, path, body);
	} catch (error) {
		if (error instanceof Unheard && !error.status) error.message += " Whether this was done is not known; asking again does no harm.";
		throw error;
	}
}

async function askToLift(revocation) {
	if (!await confirmed("Lift this revocation?", [named(revocation), "Tokens that only it kept out are let in again."], "Lift")) return false;
	said("Lifted.", await change("DELETE", "/v1/revocations/" + revocation.id), "a failure now may bring the revocation back. Look again after one.");
	return true;
}

// reach is what a revocation spares, and when it ends.
const reach = (revocation) => (revocation.issued_before ? `It spares tokens issued from ${when(revocation.issued_before)} on, and ` : "It spares none, and ")
	+ (revocation.expires_at ? `ends at ${when(revocation.expires_at)}.` : "never ends.");

function revokeForm(signal, prefilled, done) {
	const meaning = make("p", { class: "faint" });
	const explain = () => { meaning.textContent = "Denies " + selectors[form.elements.selector.value] + ", and puts out who is inside with one."; };
	const form = make("form", { class: "filters", "aria-label": "Revoke", onsubmit: (submit) => { submit.preventDefault(); guarded(() => busy(form, revoke)); }, onchange: explain },
		field("selector", "Revoke by", prefilled.selector, { options: Object.keys(selectors) }),
		field("value", "Value", prefilled.value, { required: true, size: 34 }),
		field("issuer", "Issuer", prefilled.issuer, { placeholder: "where there are several" }),
		field("reason", "Reason", "", { placeholder: "leaked in a ticket", size: 24 }),
		field("issued_before", "Spare tokens issued from", "", { placeholder: "now, 2h, 2026-11-24", size: 18 }),
		field("expires_at", "Ends", "", { placeholder: "7d, 2026-12-24", size: 14 }),
		make("button", { class: "danger" }, "Revoke…"));

	async function revoke() {
		const asked = filled(form);
		const would = await ask("POST", "/v1/revocations", { ...asked, dry_run: true }, signal);
		const met = would.sessions === undefined ? "How many sessions it would meet, the audit cannot say."
			: `Since ${when(would.since)} it would have met ${would.at_least ? "at least " : ""}${would.sessions} session${would.sessions === 1 ? "" : "s"}.`;
		if (!await confirmed("Revoke?", [named(would), reach(would), met, ...(would.cautions || []).map((caution) => shown(caution))], "Revoke")) return;
		const answer = await change("POST", "/v1/revocations", asked);
		said(answer.new ? "Revoked." : "This was revoked before, and the later times of the two hold. " + reach(answer), answer, "a failure now may lose it. Revoke it again, until this is not said any more.");
		done(answer);
		if (!answer.replicated) return;
		form.reset();
		for (const name of ["value", "issuer"]) form.elements[name].value = "";
		explain();
	}

	explain();
	return make("section", {}, make("h2", {}, "Revoke"), form, meaning);
}

async function showRevocation(view, signal, id) {
	const revocation = await ask("GET", "/v1/revocations/" + id, undefined, signal);
	const lift = async () => { if (await askToLift(revocation)) view.replaceChildren(make("a", { href: "#/revocations" }, "All revocations")); };
	view.append(make("h2", {}, "Revocation of ", named(revocation)),
		session.may("revoke") ? make("div", { class: "actions" }, make("button", { type: "button", onclick: (click) => guarded(() => busy(click.target, lift)) }, "Lift…")) : make("p", { class: "faint" }, cannotRevoke), details(revocation));
}
