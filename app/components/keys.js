// Keys for the fields of a page: one press goes to the field (or switches it, or follows the link) of a
// name. What is typed into a field is never taken for a key, and what has keys of its own (the editor, two
// scans beside each other) does not let them out.

const listeners = new Map();
const TYPED = "input:not([type=checkbox], [type=radio]), textarea, select";
const LABEL = '[data-testid="stWidgetLabel"]';

const textOf = (element) => element.textContent.trim();

function fieldCalled(name) {
  const label = Array.from(document.querySelectorAll(LABEL))
    .find((made) => textOf(made.querySelector('[data-testid="stMarkdownContainer"]') ?? made) === name);
  const offered = Array.from(
    label?.closest('[data-testid="stElementContainer"]')?.querySelectorAll("input, textarea, button") ?? [],
  ).filter((made) => !made.closest('[data-testid="stTooltipIcon"]'));
  return offered.find((made) => made.matches('[aria-checked="true"], :checked')) ?? offered[0];
}

const linkCalled = (name) => Array.from(document.querySelectorAll('[data-testid^="stPageLink"]'))
  .find((made) => made.matches("a") && textOf(made).endsWith(name));

function goTo(name) {
  const field = fieldCalled(name);
  if (field === undefined) {
    linkCalled(name)?.click();
  } else if (field.matches("[type=checkbox]")) {
    field.click();
  } else {
    field.scrollIntoView({ block: "nearest" });
    field.focus();
  }
}

function heardBy(names) {
  return (event) => {
    const at = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (at.matches?.(TYPED) || at.isContentEditable) return;
    const name = names[event.key.toLowerCase()];
    if (name === undefined) return;
    event.preventDefault();
    goTo(name);
  };
}

export default function ({ data, parentElement }) {
  const end = () => {
    document.removeEventListener("keydown", listeners.get(parentElement));
    listeners.delete(parentElement);
  };
  end();
  const told = data.names.map(([key, name]) => {
    const line = document.createElement("span");
    const cap = document.createElement("kbd");
    cap.textContent = key.toUpperCase();
    line.append(cap, ` ${name}`);
    return line;
  });
  parentElement.querySelector(".keys").replaceChildren(...told);
  listeners.set(parentElement, heardBy(Object.fromEntries(data.names)));
  document.addEventListener("keydown", listeners.get(parentElement));
  return end;
}
