
// What every view builds its part of the page from. Texts of others become text nodes, never markup; what would turn
// the direction of a line, or is not to be seen, is spelt out.

const byID = (id) => document.getElementById(id);

function clean(text) {
	return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

// make builds an element. Properties that begin with "on" are handlers, those that are undefined or false are left out.
function make(tag, properties, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(properties || {})) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== "" && child !== false));
	return element;
}

// shown is a text that somebody else has written. It turns nothing around it, and begins at the left also where its first
// letter is of a script that is written from the right: the room's name stays before the domain.
const shown = (text, properties) => make("bdi", { dir: "ltr", ...properties }, clean(text ?? ""));

function notice(text, bad) {
	byID("notice").className = bad ? "bad" : "";
	byID("notice").replaceChildren(text ? shown(text) : "");
}

const when = (time) => time ? time.replace("T", " ").replace(/(\.\d{3})\d*/, "$1") : "";

// field is a labelled control of a form; options make it a choice, where empty is what none of them is called.
function field(name, label, value, { options, empty = "any", ...properties } = {}) {
	if (properties.type === "checkbox") return make("label", { class: "check" }, make("input", { name, value: "true", checked: value === "true", ...properties }), label);
	const control = options
		? make("select", { name, ...properties }, options.map((option) => make("option", { value: option, selected: option === value }, option || empty)))
		: make("input", { name, value: value || "", autocomplete: "off", spellcheck: "false", ...properties });
	return make("label", {}, label, control);
}

// filled are a form's values that are not empty. What a link has filled in is meant to the letter, what a person writes is not.
function filled(form) {
	return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value === form.elements[name].defaultValue ? value : value.trim()]).filter(([, value]) => value !== ""));
}

// table shows rows under headings; each column is [heading, what it shows of a row, its class]. What has the same key has
// one row, however often it comes.
function table(columns, label, key = (item) => item) {
	const rows = new Map();
	const body = make("tbody");
	const element = make("div", { class: "wide", role: "region", tabindex: "0", "aria-label": label }, make("table", { "aria-label": label },
		make("thead", {}, make("tr", {}, columns.map(([heading]) => make("th", { scope: "col" }, heading)))), body));
	const row = (item) => {
		const made = make("tr", {}, columns.map(([, cell, name]) => make("td", { class: name }, cell(item) ?? "")));
		made.item = item;
		rows.set(key(item), made);
		return made;
	};
	const drop = (item) => { rows.get(key(item))?.remove(); rows.delete(key(item)); };
	return {
		element, drop,
		get size() { return rows.size; },
		get last() { return body.lastChild?.item; },
		add: (items) => { for (const item of items) if (!rows.has(key(item))) body.append(row(item)); },
		addFirst: (item) => { drop(item); body.prepend(row(item)); },
		clear: () => { rows.clear(); body.replaceChildren(); },
	};
}

// busy runs work that was begun with a form or a button. Until it ends nobody begins it again, nor changes what it was
// begun with.
async function busy(element, work) {
	if (element.inert) return undefined;
	const held = element.contains(document.activeElement) ? document.activeElement : null;
	element.inert = true;
	try {
		return await work();
	} finally {
		element.inert = false;
		if (document.activeElement === document.body) held?.focus();
	}
}

// latest gives signals that end when all ends, or when the next one is asked for.
function latest(all) {
	let last;
	return () => {
		last?.abort();
		last = new AbortController();
		return AbortSignal.any([all, last.signal]);
	};
}

// confirmed asks before something is done, and resolves to whether it shall be. One question waits for another's answer, and
// is not asked any more once its view was left.
let answered = Promise.resolve();
function confirmed(title, lines, verb) {
	const { signal } = leaving;
	answered = answered.then(() => !signal.aborted && inDialog(title, lines, verb));
	return answered;
}

function inDialog(title, lines, verb) {
	const dialog = byID("dialog");
	dialog.setAttribute("aria-label", title);
	const close = (answer) => () => dialog.close(answer);
	dialog.replaceChildren(make("h2", {}, title), ...lines.map((line) => make("p", {}, line)),
		make("div", { class: "actions" },
			make("button", { type: "button", class: "danger", onclick: close("yes") }, verb),
			make("button", { type: "button", autofocus: true, onclick: close("no") }, "Cancel")));
	dialog.returnValue = "no";
	dialog.showModal();
	return new Promise((resolve) => dialog.addEventListener("close", () => {
		dialog.replaceChildren(); // nothing of it is left after signing out
		resolve(dialog.returnValue === "yes");
	}, { once: true }));
}
