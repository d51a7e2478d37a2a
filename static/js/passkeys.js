/* What allauth's scripts for passkeys leave to the page. */

/* allauth says only in the console that a passkey was not used. */
document.addEventListener("allauth.error", (event) => {
  const said = document.querySelector("[data-passkey-problem]");
  if (!said) return;
  event.preventDefault();
  said.hidden = false;
});

/* A click before allauth listens would do nothing, or submit the form without a passkey. This
   listener is added after allauth's, so it runs after it. */
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("button[data-passkey]")) button.disabled = false;
});
