
// What each check says of a token. The token is sent in a body, is no decision, and stays in this form alone.

async function showExplain(view, signal) {
	const answer = make("div");
	const form = make("form", { "aria-label": "Explain", onsubmit: (submit) => { submit.preventDefault(); guarded(() => busy(form, run)); } },
		make("label", {}, "Token", make("textarea", { name: "token", autocomplete: "off", spellcheck: "false", required: true })),
		make("div", { class: "filters" },
			field("host", "Host that would ask", "", { placeholder: "meet.example.com" }), field("room", "Room's JID", "", { placeholder: "daily@conference.meet.example.com", size: 34 }),
			field("tenant", "Tenant in the URL", ""), field("profile", "Profile", ""), field("stage", "Stage", "", { options: ["", "connect", "create", "join", "recheck"], empty: "join with a room, else connect" }),
			make("button", { class: "main" }, "Explain")));
	view.append(make("h2", {}, "Explain a token"), form, answer);

	async function run() {
		answer.replaceChildren();
		const found = await ask("POST", "/v1/explain", filled(form), signal);
		const checks = table([
			["Check", (check) => check.name],
			["Result", (check) => make("span", { class: "verdict " + check.result }, check.result)],
			["Reason", (check) => check.reason],
			["Detail", (check) => shown(check.detail)],
			["Config", (check) => shown(check.config, { class: "mono" })],
		], "Checks");
		checks.add(found.checks);
		answer.replaceChildren(told({ verdict: kindOf(found.allow ? "allowed" : found.reason), reason: found.reason }), checks.element);
	}
}
