/* A passkey that was not used is said on the page, not in the console alone. */

document.addEventListener("allauth.error", (event) => {
  const said = document.querySelector("[data-passkey-problem]");
  if (!said) return;
  event.preventDefault();
  said.hidden = false;
});
