// The picture is uploaded when it is chosen, and shown everywhere as soon as it is stored.
import { api, ApiError } from "../chat/api.js";
import { initials } from "../chat/lib/format.js";
import { text } from "./text.js";

const MAX_BYTES = 10_000_000;

export class PicturePanel {
  #form;
  #removal;
  #avatar;
  #person;
  #problem;
  #fields;

  constructor(page, fields) {
    this.#form = page.querySelector("[data-picture-form]");
    this.#removal = page.querySelector("[data-no-picture-form]");
    this.#avatar = page.querySelector("[data-avatar]");
    this.#person = page.querySelector("[data-person]");
    this.#problem = page.querySelector("[data-picture-error]");
    this.#fields = fields;
    this.#form.addEventListener("change", () => this.#send());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#removal.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#order(() => api.removePicture(this.#fields.owner));
    });
  }

  show({ name, picture }, user) {
    this.#removal.hidden = !picture;
    const shown = this.#avatar.querySelector("img");
    if (picture) {
      const image = shown ?? Object.assign(document.createElement("img"), { width: 64, height: 64, alt: "" });
      if (image.getAttribute("src") !== picture["256"]) image.src = picture["256"];
      this.#avatar.replaceChildren(image);
      return;
    }
    const letters = initials({ name, email: user?.email });
    this.#avatar.replaceChildren(letters || this.#person.content.cloneNode(true));
  }

  #send() {
    const [file] = this.#form.elements.picture.files;
    if (!file) return undefined;
    if (file.size > MAX_BYTES) {
      this.#form.reset();
      this.#problem.textContent = text.pictureTooLarge;
      return undefined;
    }
    const sent = new FormData();
    sent.append("picture", file);
    return this.#order(() => api.savePicture(this.#fields.owner, sent));
  }

  async #order(order) {
    this.#problem.textContent = "";
    this.#form.classList.add("is-busy");
    this.#fields.say(text.saving);
    try {
      const { settings } = await order();
      this.#fields.take(settings);
      // The socket's message has the email address for the initials.
      if (settings.picture) this.show(settings);
      this.#fields.say(text.saved);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#problem.textContent = error.message;
      this.#fields.say(text.notSaved, { isProblem: true });
    } finally {
      this.#form.classList.remove("is-busy");
      this.#form.reset();
    }
  }
}
