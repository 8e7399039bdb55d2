
// The lists of decisions and of all events: filters in the address, newest first, older ones on demand, new ones as they come.

const verdictNames = { allow: "allowed", deny: "denied", unavailable: "no verdict" };

const verdict = (event) => event.verdict ? make("span", { class: "verdict " + event.verdict }, verdictNames[event.verdict]) : make("span", {}, event.kind);

// claimed marks what a token says of itself without a signature behind it.
const claimed = (event, text) => text && [shown(text), event.proven ? "" : make("span", { class: "claimed" }, " claimed")];

const eventColumns = [
	["Time (UTC)", (event) => when(event.time), "when"],
	["Verdict", verdict],
	["Stage", (event) => event.stage || event.outcome],
	["Reason", (event) => event.reason ? make("span", { title: reasons[event.reason]?.message }, event.reason) : shown(event.detail)],
	["Room", (event) => shown((event.tenant ? "[" + event.tenant + "]" : "") + (event.room || ""))],
	["User", (event) => claimed(event, event.user_name || event.user_id)],
	["Issuer", (event) => claimed(event, event.issuer)],
	["Address", (event) => shown(event.remote_ip || event.actor)],
	["Id", (event) => make("a", { href: "#/event/" + event.id, class: "mono" }, event.id), "id"],
];

// withoutToken searches for a token that was pasted into a filter, also as a part of a meeting's address, by its fingerprint,
// which is the first 32 hex digits of the SHA-256 of its header and payload: a token never stands in an address.
async function withoutToken(filters) {
	for (const [name, value] of Object.entries(filters)) {
		const [, signed] = /\b(ey[\w-]{10,}\.ey[\w-]+)\.[\w-]*/.exec(value) || [];
		if (!signed) continue;
		if (!crypto.subtle) throw new Unheard("A token does not go into an address. Its fingerprint does: usher audit --token-stdin finds by it."); // by http from elsewhere
		delete filters[name];
		const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(signed));
		filters.fingerprint = [...new Uint8Array(sum, 0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
	}
	return filters;
}

const span = { placeholder: "2h, 7d, 2026-11-24", size: 12 };

function filters(kinds, now) {
	const rare = [["tenant", "Tenant"], ["issuer", "Issuer"], ["subject", "Subject"], ["jti", "jti"], ["kid", "kid"], ["fingerprint", "Fingerprint or token"],
		["host", "Host"], ["profile", "Profile"], ["node", "Node"], ["session", "Session"]];
	return make("form", { class: "filters", onsubmit: (submit) => { submit.preventDefault(); guarded(async () => go(kinds ? "events" : "decisions", await withoutToken(filled(submit.target)))); } },
		kinds ? field("kind", "Kind", now.kind, { options: ["", "decision", "revocation", "lift", "ejection", "admin"] }) : "",
		field("since", "Since (UTC)", now.since, span), field("until", "Until (UTC)", now.until, span),
		field("verdict", "Verdict", now.verdict, { options: ["", ...Object.keys(verdictNames)] }),
		field("reason", "Reason", now.reason, { options: ["", ...Object.keys(reasons).sort()] }),
		field("room", "Room", now.room), field("user", "User", now.user), field("ip", "Address", now.ip, { size: 14 }),
		make("button", { class: "main" }, "Search"),
		make("details", { open: rare.some(([name]) => now[name]) || now.stage || now.proven ? true : false }, make("summary", {}, "More"),
			make("div", { class: "filters" }, rare.map(([name, label]) => field(name, label, now[name])),
				field("stage", "Stage", now.stage, { options: ["", "connect", "create", "join", "recheck"] }),
				field("proven", "with a proven signature alone", now.proven, { type: "checkbox" }))));
}

async function showEvents(view, signal, kinds, parameters) {
	const now = { ...(!parameters.until && { since: "1h" }), ...parameters }; // what lies before a day is asked for without a since
	const list = table(eventColumns, kinds ? "Events" : "Decisions", (event) => event.id);
	const older = make("button", { type: "button", hidden: true, onclick: () => guarded(() => busy(older, () => load(older.value))) }, "Older ones");
	const none = make("p", { class: "faint", hidden: true }, "Nothing in this time fits these filters.");
	const live = make("label", { class: "check" }, make("input", { type: "checkbox", onchange: (change) => guarded(() => watch(change.target)) }), "Show new ones as they come");
	view.append(filters(kinds, now), kinds ? "" : counts(now, signal), kinds || now.until ? "" : live, list.element, none, make("div", { class: "actions" }, older));

	const loads = latest(signal);
	let before = {}; // where rows fell off the end, older ones are asked for by their time

	async function load(cursor) {
		const current = loads();
		// A page may be empty and still have a next: the search goes on until there is something to see.
		for (let next = cursor; ;) {
			const page = await ask("GET", withParameters(kinds ? "/v1/events" : "/v1/decisions", { ...now, ...before, limit: 100, ...(next && { cursor: next }) }), undefined, current);
			list.add(page.items);
			next = older.value = page.next || "";
			older.hidden = !next;
			if (page.items.length || !next) break;
		}
		none.hidden = list.size > 0;
	}

	// What was decided while nobody followed is asked for once more, or the list would have a gap.
	function reload() {
		list.clear();
		before = {};
		older.hidden = true;
		return load();
	}

	const follows = latest(signal);
	async function watch(box) {
		const current = follows();
		if (!box.checked) return;
		const { since, ...rest } = now;
		try {
			await follow(withParameters("/v1/decisions/stream", rest), current, () => guarded(reload), (event) => {
				list.addFirst(event);
				none.hidden = true;
				if (list.size <= 1000) return;
				list.drop(list.last);
				before = { until: new Date(Date.parse(list.last.time) + 1).toISOString() };
				older.value = "";
				older.hidden = false;
			});
		} catch (error) {
			if (error.name !== "AbortError") {
				box.checked = false;
				follows();
			}
			throw error;
		}
	}

	await load();
}
