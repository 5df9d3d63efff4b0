// Rows of a name and a value: add one, take one away. The rows are plain inputs of their form.

function blank(list) {
  const row = list.querySelector(".pair").cloneNode(true);
  for (const input of row.querySelectorAll("input")) input.value = "";
  return row;
}

document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add-pair]"), remove = event.target.closest("[data-remove-pair]");
  if (add) {
    const list = add.closest(".pairs-field").querySelector(".pairs");
    const row = blank(list);
    list.append(row);
    row.querySelector("input").focus();
  } else if (remove) {
    const row = remove.closest(".pair"), list = row.parentElement;
    const next = row.nextElementSibling ?? row.previousElementSibling;
    // The last row stays, empty: it is what new ones are made from.
    if (next) row.remove();
    else for (const input of row.querySelectorAll("input")) input.value = "";
    (next ?? row).querySelector("input").focus();
    list.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
