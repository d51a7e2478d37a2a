/* Shows on the page that a passkey was not used; allauth reports it only in the console. */

document.addEventListener("allauth.error", (event) => {
  const said = document.querySelector("[data-passkey-problem]");
  if (!said) return;
  event.preventDefault();
  said.hidden = false;
});
