
// Decisions over time, as bars, and by reason. They are counted when they are looked at: with filters that takes the store a while.

const units = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

// moment is when a filter's since or until was, in milliseconds, as usher reads it: a time without a zone is UTC.
function moment(text) {
	if (text === "now") return Date.now();
	if (!/^([\d.]+[smhdw])+$/.test(text)) return Date.parse(/^\S+[T ][\d:.]+$/.test(text) ? text.replace(" ", "T") + "Z" : text);
	return Date.now() - 1000 * [...text.matchAll(/([\d.]+)([smhdw])/g)].reduce((sum, [, number, unit]) => sum + number * units[unit], 0);
}

function counts(now, signal) {
	const place = make("div", {}, "…");
	const plain = Object.keys(now).every((name) => ["since", "until", "verdict", "reason"].includes(name));
	const details = make("details", { open: plain, ontoggle: () => { if (details.open && !place.dataset.asked) guarded(fill); } }, make("summary", {}, "Counts over time"), place);

	async function fill() {
		place.dataset.asked = "yes";
		const to = now.until ? moment(now.until) : Date.now();
		const from = now.since ? moment(now.since) : to - 86_400_000; // as usher does
		const every = 60 * Math.max(1, Math.ceil(((to - from) / 1000 || 3600) / 48 / 60));
		let items;
		try {
			({ items } = await ask("GET", withParameters("/v1/decisions/stats", { ...now, by: "reason", every: every + "s" }), undefined, signal));
		} catch (error) {
			if (!(error instanceof Unheard)) throw error;
			return place.replaceChildren(shown(error.message, { class: "faint" }));
		}
		place.replaceChildren(bars(items, from, to, every * 1000), totals(items, now));
	}
	return details;
}

const kindOf = (reason) => reason === "allowed" ? "allow" : reasons[reason]?.unavailable ? "unavailable" : "deny";

// bars has one for each span of time, also where nothing was decided.
function bars(items, from, to, every) {
	const times = new Map();
	for (let time = from - from % every; time < to; time += every) times.set(time, { allow: 0, deny: 0, unavailable: 0 });
	for (const { time, key, count } of items) {
		const at = times.get(Date.parse(time)) || { allow: 0, deny: 0, unavailable: 0 };
		at[kindOf(key)] += count;
		times.set(Date.parse(time), at);
	}
	const sum = (at) => at.allow + at.deny + at.unavailable;
	const most = Math.max(1, ...[...times.values()].map(sum));
	return make("div", { class: "bars", role: "img", "aria-label": "Decisions over time" }, [...times].sort(([a], [b]) => a - b).map(([time, at]) => {
		const bar = make("div", { class: "bar", title: `${when(new Date(time).toISOString())}: ${at.allow} allowed, ${at.deny} denied, ${at.unavailable} without a verdict` });
		for (const name of ["deny", "unavailable", "allow"]) {
			const part = make("i", { class: name });
			part.style.height = 100 * at[name] / most + "%";
			bar.append(part);
		}
		return bar;
	}));
}

function totals(items, now) {
	const sums = {};
	for (const { key, count } of items) sums[key] = (sums[key] || 0) + count;
	return make("p", { class: "actions" }, Object.entries(sums).sort(([, a], [, b]) => b - a).map(([key, count]) =>
		make("a", { href: address("decisions", { ...now, ...(key === "allowed" ? { verdict: "allow" } : { reason: key }) }) }, `${key} ${count}`)));
}
