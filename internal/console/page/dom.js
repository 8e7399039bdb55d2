
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
	element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== ""));
	return element;
}

// shown is a text that somebody else has written: it keeps its own direction.
const shown = (text, properties) => make("bdi", properties, clean(text ?? ""));

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

// filled are a form's values that are not empty.
function filled(form) {
	return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== ""));
}

// table shows rows under headings; each column is [heading, what it shows of a row, its class].
function table(columns, label) {
	const body = make("tbody");
	const element = make("div", { class: "wide" }, make("table", { "aria-label": label },
		make("thead", {}, make("tr", {}, columns.map(([heading]) => make("th", { scope: "col" }, heading)))), body));
	const row = (item) => make("tr", {}, columns.map(([, cell, name]) => make("td", { class: name }, cell(item) ?? "")));
	return { element, body, add: (items) => body.append(...items.map(row)), addFirst: (item) => body.prepend(row(item)) };
}

// confirmed asks before something is done, and resolves to whether it shall be.
function confirmed(title, lines, verb) {
	const dialog = byID("dialog");
	const close = (answer) => () => dialog.close(answer);
	dialog.replaceChildren(make("h2", {}, title), ...lines.map((line) => make("p", {}, line)),
		make("div", { class: "actions" },
			make("button", { type: "button", class: "danger", onclick: close("yes") }, verb),
			make("button", { type: "button", autofocus: true, onclick: close("no") }, "Cancel")));
	dialog.returnValue = "no";
	dialog.showModal();
	return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
